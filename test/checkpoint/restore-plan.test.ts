import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type OperatorState, planRestore, type SegmentRef } from '../../runtime/checkpoint/index.js'
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
            expect(share.segments).toEqual([segment(`s${share.formerSubtask}`)])
            for (let group = share.keyGroups.first; group <= share.keyGroups.last; group++) {
              expect(from.has(group)).toBe(false)
              from.set(group, share.formerSubtask)
              expect(Math.floor((group * parallelism) / maxParallelism)).toBe(subtask)
              expect(Math.floor((group * former) / maxParallelism)).toBe(share.formerSubtask)
            }
          }
        })
        expect(from.size).toBe(maxParallelism)
      }),
    )
  })

  it('keeps operator state with its subtask, or deals all of it out evenly', () => {
    fc.assert(
      fc.property(split, fc.array(fc.nat(5), { maxLength: 40 }), ([former, parallelism], sizes) => {
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
