import { describe, expect, it } from 'vitest'
import type { Channel, ChannelEntry } from '../../runtime/ports/index.js'

export interface OpenChannel {
  readonly channel: Channel
  /** What has arrived for a subtask, in the order in which it will be read, as text. */
  received(subtask: number): readonly string[] | Promise<readonly string[]>
}

const entry = (to: number, text: string): ChannelEntry => ({ to, bytes: new TextEncoder().encode(text) })

/** What every Channel does when all goes well. `open` gives an empty one to so many subtasks. */
export function channelContract(name: string, open: (subtasks: number) => Promise<OpenChannel>): void {
  describe(`Channel: ${name}`, () => {
    it('brings each entry to its subtask, in order', async () => {
      const { channel, received } = await open(3)
      const entries = Array.from({ length: 30 }, (_, i) => entry((i * 7) % 3, `e${i}`))
      expect(await channel.send(entries.slice(0, 20))).toEqual([])
      expect(await channel.send(entries.slice(20))).toEqual([])
      for (let subtask = 0; subtask < 3; subtask++) {
        expect(await received(subtask)).toEqual(entries.filter(({ to }) => to === subtask).map(({ bytes }) => new TextDecoder().decode(bytes)))
      }
    })

    it('takes nothing, and many at once', async () => {
      const { channel, received } = await open(1)
      expect(await channel.send([])).toEqual([])
      expect(await channel.send(Array.from({ length: 700 }, (_, i) => entry(0, String(i))))).toEqual([])
      expect(await received(0)).toEqual(Array.from({ length: 700 }, (_, i) => String(i)))
    })

    it('keeps copies: what is sent again comes again', async () => {
      const { channel, received } = await open(2)
      const same = entry(1, 'same')
      await channel.send([same, same])
      await channel.send([same])
      expect(await received(1)).toEqual(['same', 'same', 'same'])
      expect(await received(0)).toEqual([])
    })

    it('keeps its bytes when the caller changes theirs', async () => {
      const { channel, received } = await open(1)
      const sent = entry(0, 'abc')
      await channel.send([sent])
      sent.bytes.fill(0)
      expect(await received(0)).toEqual(['abc'])
    })
  })
}
