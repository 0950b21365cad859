import { describe, expect, it } from 'vitest'
import { AggregatingStateDescriptor, ListStateDescriptor, ValueStateDescriptor } from '../../runtime/core/index.js'
import { decodeSegment, deltaRows, KeyedStateBackend, keyGroupOf, StateScope, stateHandle, toInternalKey } from '../../runtime/state/index.js'

const MAX = 128
const sum = new AggregatingStateDescriptor<number, number, number>('sum', {
  createAccumulator: () => 0,
  add: (n, acc) => acc + n,
  getResult: (acc) => acc,
})
const names = new ValueStateDescriptor<{ name: string; tags: string[] }>('names')
const list = new ListStateDescriptor<number>('list')

function backend(): KeyedStateBackend {
  const created = new KeyedStateBackend(MAX, { first: 0, last: MAX - 1 })
  created.tracking = true
  created.openTimers()
  return created
}

function key(n: number): string {
  return `user-${String(n).padStart(6, '0')}`
}

describe('a delta by columns', () => {
  it('costs a few bytes a row, and a few more when there are few', () => {
    const state = backend()
    const handle = stateHandle(new StateScope(state), sum)
    for (let n = 0; n < 1_000; n++) {
      state.setCurrentKey(key((n * 7_919) % 10_000))
      handle.add(((n * 104_729) % 100_000) / 100)
    }
    const bytes = state.takeDelta() as Uint8Array
    expect(state.takeDelta()).toBeUndefined()
    // Fourteen bits of the key and seventeen of the value.
    expect(bytes.length).toBeLessThan((31 * 1_000) / 8 + 150)
    for (let n = 0; n < 10; n++) {
      state.setCurrentKey(key(n))
      handle.add(1)
    }
    expect((state.takeDelta() as Uint8Array).length).toBeLessThan(200)
  })

  it('gives back its rows by key group', () => {
    const state = backend()
    const scope = new StateScope(state)
    const keys: unknown[] = ['a', 'b', 1, true, ['x', 1], key(1), key(2)]
    for (const [n, one] of keys.entries()) {
      state.setCurrentKey(one)
      stateHandle(scope, sum).add(n + 0.1)
      stateHandle(scope, names).update({ name: String(n), tags: ['t'] })
      stateHandle(scope, list).add(n)
    }
    state.takeDelta()
    state.setCurrentKey('a')
    stateHandle(scope, sum).clear()
    stateHandle(scope, list).add(7)
    const delta = state.takeDelta() as Uint8Array
    const { header, blocks } = decodeSegment(delta, 'log')
    const group = keyGroupOf(toInternalKey('a'), MAX)
    expect(deltaRows(delta)).toBe(2)
    expect(header).toMatchObject({ kind: 'delta', maxParallelism: MAX, rows: 2, groups: [[group, 0, 0]] })
    expect([...blocks(0, group - 1), ...blocks(group + 1, MAX - 1)]).toEqual([])
    const rows = [...blocks(group, group)]
    expect(rows.map(({ block }) => header.states[block.state].name).sort()).toEqual(['list', 'sum'])
    expect(rows.find(({ block }) => header.states[block.state].name === 'sum')?.block.removedKeys).toEqual(['a'])
    expect(rows.find(({ block }) => header.states[block.state].name === 'list')?.block.changed).toMatchObject({ keys: ['a'] })
  })

  it('notices each flipped byte', () => {
    const state = backend()
    state.setCurrentKey('a')
    stateHandle(new StateScope(state), sum).add(1)
    const bytes = state.takeDelta() as Uint8Array
    for (let at = 4; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at] ^= 255
      expect(() => decodeSegment(damaged, 'log')).toThrow(expect.objectContaining({ code: 'CHECKPOINT_CORRUPT' }))
    }
  })
})
