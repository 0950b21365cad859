import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type OperatorState, planRestore, type SegmentRef } from '../../runtime/checkpoint/index.js'
import { elementOf, keyGroupRange, redistributed, redistributionOf } from '../../runtime/state/index.js'
import { aManifest, anOperator } from './manifests.js'

const segment = (name: string): SegmentRef => ({ name, bytes: 1, crc32: 1 })

function operator(parallelism: number, maxParallelism: number, states: readonly (readonly unknown[])[] = []): OperatorState {
  const subtasks = Array.from({ length: parallelism }, (_, subtask) => ({
    subtask,
    keyed: [segment(`s${subtask}`)],
    operatorState: states[subtask] ?? [],
  }))
  return anOperator('op', [], { parallelism, maxParallelism, subtasks })
}

function plan(before: OperatorState, parallelism: number) {
  const restore = planRestore(aManifest({ operators: [before] }), 'clicks', [{ uid: 'op', parallelism, maxParallelism: before.maxParallelism }])
  return restore.operators.get('op')?.subtasks ?? []
}

const split = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 40, max: 200 }))

describe('planRestore', () => {
  it('gives each key group to exactly one subtask, from the one that owned it', () => {
    fc.assert(
      fc.property(split, ([former, parallelism, maxParallelism]) => {
        const from = new Map<number, number>()
        const subtasks = plan(operator(former, maxParallelism), parallelism)
        expect(subtasks).toHaveLength(parallelism)
        subtasks.forEach(({ keyed }, subtask) => {
          for (const share of keyed) {
            const { first, last } = share.keyGroups ?? keyGroupRange(subtask, maxParallelism, parallelism)
            const formerSubtask = Number(share.name.slice(1))
            expect(share).toMatchObject(segment(`s${formerSubtask}`))
            for (let group = first; group <= last; group++) {
              expect(from.has(group)).toBe(false)
              from.set(group, formerSubtask)
              expect(Math.floor((group * parallelism) / maxParallelism)).toBe(subtask)
              expect(Math.floor((group * former) / maxParallelism)).toBe(formerSubtask)
            }
          }
        })
        expect(from.size).toBe(maxParallelism)
      }),
    )
  })

  it('keeps operator state with its subtask, or deals all of it out evenly', () => {
    fc.assert(
      fc.property(split, fc.array(fc.nat(5), { maxLength: 40, size: 'max' }), ([former, parallelism], sizes) => {
        const states = Array.from({ length: former }, (_, subtask) => Array.from({ length: sizes[subtask] ?? 0 }, (_, i) => `${subtask}:${i}`))
        const before = operator(former, 200, states)
        const same = plan(before, former).map((s) => s.operatorState)
        expect(same).toEqual(states)
        const other = plan(before, parallelism).map((s) => s.operatorState)
        expect(other.flat().sort()).toEqual(states.flat().sort())
        if (parallelism === former) return
        const lengths = other.map((list) => list.length)
        expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('gives union elements to every subtask, in the order of the former subtasks', () => {
    const union = (element: unknown) => redistributed('union', element)
    const before = operator(2, 128, [[union('a'), 'x', union('b')], [union('c')]])
    for (const parallelism of [1, 2, 3]) {
      const lists = plan(before, parallelism).map((s) => s.operatorState)
      for (const list of lists) expect(list.filter((e) => redistributionOf(e) === 'union').map(elementOf)).toEqual(['a', 'b', 'c'])
      expect(lists.flat().filter((e) => redistributionOf(e) === 'split')).toEqual(['x'])
    }
  })

  it('gives each subtask the broadcast elements of one former subtask: its own, or in turn', () => {
    const states = ['a', 'b'].map((name) => [redistributed('broadcast', { rules: new Map([[name, 1]]) }), name])
    const before = operator(2, 128, states)
    const rules = (parallelism: number) =>
      plan(before, parallelism).map((s) => s.operatorState.filter((e) => redistributionOf(e) === 'broadcast').map(elementOf))
    const of = (name: string) => [{ rules: new Map([[name, 1]]) }]
    expect(rules(1)).toEqual([of('a')])
    expect(rules(2)).toEqual([of('a'), of('b')])
    expect(rules(5)).toEqual([of('a'), of('b'), of('a'), of('b'), of('a')])
    const [first, , third] = rules(3) as [{ rules: Map<string, number> }][]
    first[0].rules.set('changed', 1)
    expect([third]).toEqual([of('a')])
  })

  it('takes the subtasks as they are numbered, not as they are listed', () => {
    const before = operator(2, 128, [['a'], ['b']])
    const shuffled = { ...before, subtasks: before.subtasks.toReversed() }
    expect(plan(shuffled, 2).map((s) => s.operatorState)).toEqual([['a'], ['b']])
    expect(plan(shuffled, 1)[0].operatorState).toEqual(['a', 'b'])
  })

  it('carries the enumerator over and starts new operators empty', () => {
    const manifest = aManifest({ checkpointId: 9, operators: [anOperator('src', [], { coordinatorState: { next: 3 } })] })
    const restore = planRestore(manifest, 'clicks', [
      { uid: 'src', parallelism: 2, maxParallelism: 128 },
      { uid: 'new', parallelism: 2, maxParallelism: 128 },
    ])
    expect(restore.checkpointId).toBe(9)
    expect(restore.operators.get('src')).toEqual({
      coordinatorState: { next: 3 },
      subtasks: [
        { keyed: [], operatorState: [] },
        { keyed: [], operatorState: [] },
      ],
    })
    expect(restore.operators.has('new')).toBe(false)
  })

  it('refuses the state of another job', () => {
    expect(() => planRestore(aManifest(), 'other', [])).toThrow(/CHECKPOINT_OTHER_JOB.*"clicks".*"other"(.|\n)*what to do/)
    expect(() => planRestore(aManifest(), 'other', [], { allowNonRestoredState: true })).toThrow(/CHECKPOINT_OTHER_JOB/)
  })

  it('refuses to lose the state of an operator, unless that is allowed; one without state may go', () => {
    const manifest = aManifest({ operators: [operator(1, 128), anOperator('stateless', []), anOperator('src', [], { coordinatorState: 0 })] })
    expect(() => planRestore(manifest, 'clicks', [])).toThrow(
      /CHECKPOINT_OTHER_JOB.*"op" \(op operator\), "src" \(src operator\)(.|\n)*allowNonRestoredState/,
    )
    const restore = planRestore(manifest, 'clicks', [], { allowNonRestoredState: true })
    expect(restore.dropped).toEqual(['op', 'src'])
    expect(restore.operators.size).toBe(0)
  })

  it('refuses another maxParallelism where there is keyed state, with the remedy', () => {
    const restore = (before: OperatorState) =>
      planRestore(aManifest({ operators: [before] }), 'clicks', [{ uid: 'op', parallelism: 1, maxParallelism: 64 }])
    expect(() => restore(operator(1, 128))).toThrow(/PLAN_INVALID(.|\n)*uid op(.|\n)*Set maxParallelism to 128/)
    expect(restore(anOperator('op', [[]])).operators.size).toBe(1)
  })
})
