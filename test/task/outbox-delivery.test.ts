import { describe, expect, it } from 'vitest'
import type { ChannelEntry } from '../../runtime/ports/index.js'
import { decodeOutbox, deliver, encodeOutbox, type Outbox, type Recipients } from '../../runtime/task/outbox.js'

const EMPTY: Outbox = { frames: [], sinks: [], letters: [], wakeAt: null, ack: null }

/** Takes what it is told to; notes the pauses. */
function recipients(random: number, refusals: number): Recipients & { readonly pauses: number[]; readonly sent: ChannelEntry[] } {
  const pauses: number[] = []
  const sent: ChannelEntry[] = []
  let left = refusals
  return {
    pauses,
    sent,
    channel: () => ({
      send: async (entries) => {
        if (left-- > 0) return entries
        sent.push(...entries)
        return []
      },
    }),
    sink: async () => {},
    deadLetter: async () => {},
    wakeUp: async () => {},
    acknowledge: async () => {},
    pause: async (ms) => void pauses.push(ms),
    random: () => random,
  }
}

describe('the outbox', () => {
  const outbox: Outbox = { ...EMPTY, frames: [{ stage: 's', to: 0, bytes: Uint8Array.of(1) }] }

  it('is sent again after longer and longer pauses, each by chance', async () => {
    for (const [random, pauses] of [
      [0, [25, 50, 100]],
      [0.999, [75, 150, 300]],
    ] as const) {
      const to = recipients(random, 3)
      await deliver(outbox, to)
      expect(to.pauses.map(Math.round)).toEqual(pauses)
      expect(to.sent).toHaveLength(1)
    }
    const full = recipients(0.5, 8)
    await expect(deliver(outbox, full)).rejects.toMatchObject({ code: 'AWS_CALL' })
    expect(full.pauses).toEqual([50, 100, 200, 400, 800, 1_000, 1_000])
  })

  it('is sent for as long as any of it arrives: 40 frames to a shard that takes one at a time', async () => {
    const frames = Array.from({ length: 40 }, (_, i) => ({ stage: 's', to: 0, bytes: Uint8Array.of(i) }))
    const to = recipients(0.5, 0)
    let calls = 0
    const slow = {
      send: async ([first, ...rest]: readonly ChannelEntry[]) => {
        // Every other time others have filled it.
        if (calls++ % 2 === 1) return [first, ...rest]
        to.sent.push(first)
        return rest
      },
    }
    await deliver({ ...EMPTY, frames }, { ...to, channel: () => slow })
    expect(to.sent.map(({ bytes }) => bytes[0])).toEqual(frames.map((_, i) => i))
    expect(new Set(to.pauses)).toEqual(new Set([50]))
  })

  it('has records of one shape by columns, and others as they are', () => {
    const marker = { writer: 'w', attempt: 1, version: 2 }
    const entry = (values: readonly unknown[]) => ({
      uid: 'out',
      marker,
      batch: { values, timestamps: values.map((_, i) => 1_700_000_000_000 + i), watermarks: values.map(() => Number.NEGATIVE_INFINITY) },
    })
    const results = Array.from({ length: 1_000 }, (_, i) => ({
      user: `user-${String(i).padStart(6, '0')}`,
      windowEnd: 1_700_000_005_000,
      total: i / 100,
    }))
    const sinks = [entry(results), entry([null, { a: [1n] }, 'text']), entry([])]
    const bytes = encodeOutbox({ ...EMPTY, sinks })
    expect(decodeOutbox(bytes)).toEqual({ ...EMPTY, sinks })
    // Numbered users and hundredths that rise by one, one time, times that rise by one, and watermarks of eight bytes each.
    expect(bytes.length).toBeLessThan(1_000 * 8 + 600)
  })
})
