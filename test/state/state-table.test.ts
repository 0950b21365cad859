import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TimeWindow } from '../../runtime/core/index.js'
import { type Namespace, type StateEntry, StateTable } from '../../runtime/state/index.js'

/** 25 windows: three times what a key's chain holds. New objects each time, since equal windows need not be identical. */
function namespace(n: number): Namespace {
  return n === 0 ? null : new TimeWindow(n * 10, n * 10 + 10)
}

const at = (key: string, n: number) => `${key}|${n}`

// fast-check's own default size stops at about ten elements, too few for a history.
const operation = fc.record({
  kind: fc.constantFrom('put', 'put', 'put', 'remove', 'get', 'clear-key', 'take', 'take-all'),
  key: fc.constantFrom('a', 'b', 'c'),
  n: fc.nat(24),
  value: fc.nat(1000),
})

describe('StateTable', () => {
  it('behaves as a map of rows, and its changes replayed give its contents', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200, size: 'max' }), (operations) => {
        const table = new StateTable<number>()
        table.tracking = true
        const model = new Map<string, number>()
        const replayed = new Map<string, number>()
        const nameOf = (row: { key: unknown; namespace: Namespace }) =>
          at(String(row.key), row.namespace === null ? 0 : (row.namespace as TimeWindow).start / 10)
        for (const { kind, key, n, value } of operations) {
          const entry = table.get(key, namespace(n))
          expect(entry?.value).toBe(model.get(at(key, n)))
          if (kind === 'put') {
            if (entry === null) table.insert(key, namespace(n), value)
            else {
              entry.value = value
              table.touch(entry)
            }
            model.set(at(key, n), value)
          } else if (kind === 'remove' && entry !== null) {
            table.remove(entry)
            table.remove(entry)
            model.delete(at(key, n))
          } else if (kind === 'clear-key') {
            for (const row of table.entriesOf(key)) table.remove(row)
            for (let i = 0; i < 25; i++) model.delete(at(key, i))
            expect(table.entriesOf(key)).toEqual([])
          } else if (kind === 'take') {
            const { rows, tombstones } = table.takeChanges()
            for (const row of tombstones) replayed.delete(nameOf(row))
            for (const row of rows) replayed.set(nameOf(row), row.value)
            expect(replayed).toEqual(model)
          } else if (kind === 'take-all') {
            replayed.clear()
            for (const row of table.takeAll()) replayed.set(nameOf(row), row.value)
            expect(replayed).toEqual(model)
          }
          expect(table.size).toBe(model.size)
        }
        const rows = (entries: Iterable<StateEntry<number>>) => [...entries].map((e) => [nameOf(e), e.value]).sort()
        expect(rows(table.entries())).toEqual([...model].sort())
        expect(rows(['a', 'b', 'c'].flatMap((key) => table.entriesOf(key)))).toEqual([...model].sort())
      }),
      { numRuns: 200 },
    )
  })

  it('finds each of many namespaces of one key, whichever are removed first', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...Array(40).keys()]), (removals) => {
        const table = new StateTable<number>()
        for (let n = 0; n < 40; n++) table.insert('k', namespace(n), n)
        const left = new Set(Array(40).keys())
        for (const n of removals) {
          table.remove(table.get('k', namespace(n)) as StateEntry<number>)
          left.delete(n)
          for (let i = 0; i < 40; i++) expect(table.get('k', namespace(i))?.value).toBe(left.has(i) ? i : undefined)
        }
        expect([...table.keys()]).toEqual(left.size === 0 ? [] : ['k'])
      }),
      { numRuns: 60 },
    )
  })

  it('a base makes rows persisted that were there before changes were tracked', () => {
    const table = new StateTable<number>()
    const entry = table.insert('k', null, 1)
    table.tracking = true
    expect(table.takeAll()).toEqual([entry])
    table.remove(entry)
    expect(table.takeChanges().tombstones).toEqual([entry])
  })

  it('a row that came and went between two snapshots leaves nothing', () => {
    const table = new StateTable<number>()
    table.tracking = true
    for (let i = 0; i < 20_000; i++) table.remove(table.insert(i, null, i))
    expect(table.takeChanges()).toEqual({ rows: [], notes: [], tombstones: [] })
  })
})
