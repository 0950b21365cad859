import { describe, expect, it } from 'vitest'
import type { SourceStreams } from '../../runtime/ports/index.js'

export type Split = 'a' | 'b' | 'c' | 'd' | 'e'

/** A stream that had `a` and `b`, of which `a` was divided into `c` and `d`, and then `b` and `c` became `e`. */
export interface OpenSourceStreams {
  readonly streams: SourceStreams
  /** Name of the stream. */
  readonly stream: string
  /** The ids of those splits. */
  readonly ids: Readonly<Record<Split, string>>
  /** Positions of their records. */
  readonly positions: Readonly<Record<Split, readonly bigint[]>>
  /** The stream no longer knows the split. */
  forget(splitId: string): void | Promise<void>
}

/** What every SourceStreams does. `open` gives a stream with so many records in each split. */
export function sourceStreamsContract(name: string, open: (records: Partial<Record<Split, number>>) => Promise<OpenSourceStreams>): void {
  describe(`SourceStreams: ${name}`, () => {
    it('knows the splits, parents before children', async () => {
      const { streams, stream, ids } = await open({})
      const splits = await streams.splits(stream)
      const byId = new Map(splits.map((split) => [split.splitId, split]))
      expect([...byId.keys()].sort()).toEqual(Object.values(ids).sort())
      for (const [at, { parents }] of splits.entries()) {
        for (const parent of parents) expect(splits.findIndex(({ splitId }) => splitId === parent)).toBeLessThan(at)
      }
      const of = (id: Split) => ({ ...byId.get(ids[id]), parents: [...(byId.get(ids[id])?.parents ?? [])].sort() })
      expect(of('a')).toEqual({ splitId: ids.a, parents: [], closed: true })
      expect(of('b')).toEqual({ splitId: ids.b, parents: [], closed: true })
      expect(of('c')).toEqual({ splitId: ids.c, parents: [ids.a], closed: true })
      expect(of('d')).toEqual({ splitId: ids.d, parents: [ids.a], closed: false })
      expect(of('e')).toEqual({ splitId: ids.e, parents: [ids.b, ids.c].sort(), closed: false })
    })

    it('leaves out parents that it no longer knows', async () => {
      const { streams, stream, ids, forget } = await open({})
      await forget(ids.a)
      await forget(ids.b)
      const splits = await streams.splits(stream)
      expect(splits.map(({ splitId }) => splitId).sort()).toEqual([ids.c, ids.d, ids.e].sort())
      expect(splits.map(({ splitId, parents }) => [splitId, parents])).toEqual(
        expect.arrayContaining([
          [ids.c, []],
          [ids.d, []],
          [ids.e, [ids.c]],
        ]),
      )
    })

    it('tells when a split is drained', async () => {
      const { streams, stream, ids, positions } = await open({ b: 12 })
      expect(await streams.drained(stream, ids.a, undefined)).toBe(true)
      expect(await streams.drained(stream, ids.b, undefined)).toBe(false)
      for (const position of positions.b.slice(0, -1)) expect(await streams.drained(stream, ids.b, position)).toBe(false)
      expect(await streams.drained(stream, ids.b, positions.b.at(-1))).toBe(true)
    })

    it('never calls a split drained that is open', async () => {
      const { streams, stream, ids, positions } = await open({ e: 1 })
      expect(await streams.drained(stream, ids.d, undefined)).toBe(false)
      expect(await streams.drained(stream, ids.e, undefined)).toBe(false)
      expect(await streams.drained(stream, ids.e, positions.e[0])).toBe(false)
    })

    it('has nothing more in a split that it no longer knows', async () => {
      const { streams, stream, ids, positions, forget } = await open({ a: 1 })
      await forget(ids.a)
      expect(await streams.drained(stream, ids.a, positions.a[0])).toBe(true)
    })
  })
}
