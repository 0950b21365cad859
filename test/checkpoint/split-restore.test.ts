import { describe, expect, it } from 'vitest'
import type { Manifest } from '../../runtime/checkpoint/index.js'
import { restoredSplits, type SplitState, splitsToRegister } from '../../runtime/checkpoint/split-restore.js'
import { planStageRestore } from '../../runtime/checkpoint/stage-restore.js'
import type { JobGraph } from '../../runtime/plan/index.js'
import type { SplitInfo, Successor } from '../../runtime/ports/index.js'
import { aManifest } from './manifests.js'

/** `s2 < s0 s1`: s2, whose parents are s0 and s1. */
function split(text: string): Successor {
  const [splitId, parents = ''] = text.split(' < ')
  return { splitId, parents: parents === '' ? [] : parents.split(' ') }
}

function listed(...texts: string[]): SplitInfo[] {
  return texts.map((text) => ({ ...split(text), closed: false }))
}

function live(splitId: string, position: string | null = '5'): SplitState {
  return { splitId, position, successors: [], ended: false }
}

function ended(splitId: string, ...successors: string[]): SplitState {
  return { splitId, position: '9', successors: successors.map(split), ended: true }
}

function manifestOf(...states: SplitState[]): Manifest {
  const subtasks = states.map((state, subtask) => ({ subtask, keyed: [], operatorState: [state] }))
  return aManifest({ operators: [{ uid: 'src', name: 'src', parallelism: states.length, maxParallelism: 128, subtasks }] })
}

function registered(manifest: Manifest | undefined, splits: readonly SplitInfo[]): readonly Successor[] {
  return splitsToRegister(manifest, [{ stage: 'src', uid: 'src', stream: 'clicks', splits }]).src
}

function restored(manifest: Manifest | undefined, splits: readonly SplitInfo[]) {
  const successors = registered(manifest, splits)
  return restoredSplits(
    manifest,
    'src',
    Object.fromEntries(successors.map(({ splitId, parents }, ordinal) => [splitId, { ordinal, epoch: 0, parents }])),
  )
}

describe('splits at the beginning of an attempt', () => {
  it('are the oldest at first: children begin when their parents have ended, closed or not', () => {
    expect(registered(undefined, listed('s0', 's1', 's2 < s0', 's3 < s0', 's4 < s1 s2'))).toEqual([split('s0'), split('s1')])
    expect(restored(undefined, listed('s0'))).toEqual([
      { splitId: 's0', ordinal: 0, position: null, ended: false, successors: [], waiting: [], formerOrdinal: undefined },
    ])
    // A source that is new in the job.
    expect(registered(aManifest(), listed('s0', 's2 < s0'))).toEqual([split('s0')])
    expect(() => registered(undefined, [])).toThrow(/SOURCE_FAILED[\s\S]*"clicks" has no splits/)
  })

  it('are those of the manifest: what the stream has beyond begins again when its parents end again', () => {
    // s0 was split behind the barrier.
    const [s0, ...others] = restored(manifestOf(live('s0')), listed('s0', 's1 < s0', 's2 < s0'))
    expect(s0).toMatchObject({ splitId: 's0', position: '5', ended: false, formerOrdinal: 0 })
    expect(others).toEqual([])
  })

  it('are all that one reader had, in the order of readers', () => {
    const subtasks = [[live('s0'), live('s2', '7')], [live('s1')], []].map((operatorState, subtask) => ({ subtask, keyed: [], operatorState }))
    const manifest = aManifest({ operators: [{ uid: 'src', name: 'src', parallelism: 3, maxParallelism: 128, subtasks }] })
    const splits = restored(manifest, listed('s0', 's1', 's2'))
    expect(splits.map(({ splitId, ordinal, position, formerOrdinal }) => [splitId, ordinal, position, formerOrdinal])).toEqual([
      ['s0', 0, '5', 0],
      ['s2', 1, '7', 0],
      ['s1', 2, '5', 1],
    ])
    // What else that reader's chain kept is whole, and with the first of its splits.
    const chained = [{ subtask: 0, keyed: [], operatorState: ['of reader 0'] }]
    const operators = [...manifest.operators, { uid: 'map', name: 'map', parallelism: 3, maxParallelism: 128, subtasks: chained }]
    const graph = {
      vertices: [
        {
          id: 'src',
          parallelism: 1,
          maxParallelism: 128,
          operators: [
            { uid: 'src', isSource: true },
            { uid: 'map', isSource: false },
          ],
        },
      ],
    } as unknown as JobGraph
    const plan = planStageRestore({ ...manifest, operators }, graph, new Map([['src', splits]]), { job: manifest.job })
    expect(plan.operators.get('map')?.subtasks.map(({ operatorState }) => operatorState)).toEqual([['of reader 0'], [], []])
  })

  it('are those too that had begun for the receivers before the barrier and registered behind it', () => {
    const splits = restored(manifestOf(ended('s0', 's1 < s0', 's2 < s0')), listed('s0', 's1 < s0', 's2 < s0'))
    expect(splits.map(({ splitId, position, ended: over, waiting }) => [splitId, position, over, waiting])).toEqual([
      ['s0', '9', true, []],
      ['s1', null, false, []],
      ['s2', null, false, []],
    ])
  })

  it('do not count the child of a merge before both parents had ended, and have the one that had wait for it', () => {
    const stream = listed('s0', 's1', 's2 < s0 s1')
    const splits = restored(manifestOf(ended('s0', 's2 < s0 s1'), live('s1')), stream)
    expect(splits.map(({ splitId }) => splitId)).toEqual(['s0', 's1'])
    expect(splits[0]).toMatchObject({ ended: true, waiting: [split('s2 < s0 s1')] })
    const both = restored(manifestOf(ended('s0', 's2 < s0 s1'), ended('s1', 's2 < s0 s1')), stream)
    expect(both.map(({ splitId, waiting }) => [splitId, waiting])).toEqual([
      ['s0', []],
      ['s1', []],
      ['s2', []],
    ])
    // A parent that has not even begun has not ended.
    const deep = restored(manifestOf(ended('s0', 's3 < s0 s2'), live('s1')), listed('s0', 's1', 's2 < s1', 's3 < s0 s2'))
    expect(deep.map(({ splitId }) => splitId)).toEqual(['s0', 's1'])
    expect(deep[0].waiting).toEqual([split('s3 < s0 s2')])
  })

  it('forget an ended one that the stream has forgotten, once all that continue it are there', () => {
    expect(registered(manifestOf(ended('s0', 's1 < s0'), live('s1')), listed('s1')).map(({ splitId }) => splitId)).toEqual(['s1'])
    expect(registered(manifestOf(ended('s0', 's1 < s0'), live('s1')), listed('s0', 's1 < s0')).map(({ splitId }) => splitId)).toEqual(['s0', 's1'])
    expect(registered(manifestOf(ended('s0')), listed('s9')).map(({ splitId }) => splitId)).toEqual(['s0'])
  })

  it('must still be in the stream when anything of them counts', () => {
    expect(() => registered(manifestOf(live('s0')), listed('s1'))).toThrow(/SOURCE_FAILED[\s\S]*split s0 of stream "clicks"/)
    expect(() => registered(manifestOf(ended('s0', 's1 < s0')), listed('s2'))).toThrow(/SOURCE_FAILED[\s\S]*split s1/)
  })

  it('cannot be taken from another engine', () => {
    const foreign = manifestOf({ splitId: 'part-0', offset: 7 } as unknown as SplitState)
    expect(() => registered(foreign, listed('s0'))).toThrow(/CHECKPOINT_OTHER_JOB/)
  })
})
