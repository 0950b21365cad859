import { describe, expect, it } from 'vitest'
import type { Pokes } from '../../runtime/ports/index.js'

export interface OpenPokes {
  readonly pokes: Pokes
  /** Sets the time of day to a later one, epoch ms, and gives who is poked until then, as `stage/subtask` in order. */
  until(now: number): Promise<readonly string[]>
}

const MINUTE = 60_000

/** What every Pokes does when nothing is lost. `open` gives one at epoch ms `now`. */
export function pokesContract(name: string, open: (now: number) => Promise<OpenPokes>): void {
  describe(`Pokes: ${name}`, () => {
    const start = 1_700_000_000_000

    it('pokes at once whoever is due', async () => {
      const { pokes, until } = await open(start)
      await pokes.poke({ stage: 'sum', subtask: '0' }, start)
      await pokes.poke({ stage: 'in', subtask: 'shardId-000000000007' }, start - MINUTE)
      expect([...(await until(start))].sort()).toEqual(['in/shardId-000000000007', 'sum/0'])
      expect(await until(start + MINUTE)).toEqual([])
    })

    it('pokes later, not before', async () => {
      const { pokes, until } = await open(start)
      await pokes.poke({ stage: 'sum', subtask: '1' }, start + 5 * MINUTE)
      await pokes.poke({ stage: 'sum', subtask: '2' }, start + 2 * MINUTE)
      expect(await until(start + MINUTE)).toEqual([])
      expect(await until(start + 3 * MINUTE)).toEqual(['sum/2'])
      expect(await until(start + 5 * MINUTE + 1_000)).toEqual(['sum/1'])
    })

    it('reaches a time that is far away', async () => {
      const { pokes, until } = await open(start)
      await pokes.poke({ stage: 'sum', subtask: '1' }, start + 100 * MINUTE)
      expect(await until(start + 16 * MINUTE)).toEqual([])
      expect(await until(start + 99 * MINUTE)).toEqual([])
      expect(await until(start + 100 * MINUTE + 1_000)).toEqual(['sum/1'])
    })

    it('pokes as often as it was asked to', async () => {
      const { pokes, until } = await open(start)
      for (let i = 0; i < 3; i++) await pokes.poke({ stage: 'sum', subtask: '0' }, start + i)
      expect(await until(start + MINUTE)).toEqual(['sum/0', 'sum/0', 'sum/0'])
    })
  })
}
