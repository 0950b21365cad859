import { describe, expect, it } from 'vitest'
import type { RestoredSplit } from '../../runtime/checkpoint/split-restore.js'
import { MAX_WATERMARK, MIN_WATERMARK } from '../../runtime/core/index.js'
import { type CommitRecord, decodeCommit, encodeCommit } from '../../runtime/task/commit-record.js'
import { planStarts, resetRecord, retiredRecord, type SubtaskStart } from '../../runtime/task/reset-record.js'
import { clicksGraph, joinGraph } from './job-world.js'

const PLACE = { plan: 'p2', attempt: 4, epoch: 17, atMs: 99 }
const EMPTY = null
const NOTHING_KNOWN = { watermark: MIN_WATERMARK, idle: false }

function split(splitId: string, ordinal: number, change: Partial<RestoredSplit> = {}): RestoredSplit {
  return { splitId, ordinal, position: '5', ended: false, successors: [], waiting: [], formerOrdinal: ordinal, ...change }
}

function startsOf(splits: Record<string, readonly RestoredSplit[]>, graph = clicksGraph()): Map<string, SubtaskStart> {
  return new Map(planStarts(graph, new Map(Object.entries(splits))).map((start) => [`${start.stage}/${start.subtask}`, start]))
}

describe('where subtasks begin', () => {
  it('in topological order, with a channel from every split, and along forward edges from the subtask of the same index', () => {
    const starts = startsOf({ clicks: [split('s0', 0), split('s1', 1)] })
    expect([...starts.keys()]).toEqual(['clicks/s0', 'clicks/s1', 'count/0', 'count/1', 'out/0', 'out/1'])
    expect([...starts.values()].map(({ ordinal }) => ordinal)).toEqual([5, 6, 1, 2, 3, 4])
    expect(starts.get('count/1')?.channels).toEqual({
      '0:s0': { next: 1, ...NOTHING_KNOWN, successors: null },
      '0:s1': { next: 1, ...NOTHING_KNOWN, successors: null },
    })
    expect(Object.keys(starts.get('out/1')?.channels ?? {})).toEqual(['1:1'])
    expect(starts.get('count/0')).toMatchObject({ ended: false, inputs: [NOTHING_KNOWN] })
  })

  it('hold event time for a split that waits for others of its parents', () => {
    const waiting = [{ splitId: 's2', parents: ['s0', 's1'] }]
    const { channels, ended } = startsOf({ clicks: [split('s0', 0, { ended: true, successors: waiting, waiting }), split('s1', 1)] }).get(
      'count/0',
    ) as SubtaskStart
    expect(channels['0:s0']).toEqual({ next: 1, ...NOTHING_KNOWN, successors: waiting })
    expect(channels['0:s1'].successors).toBe(null)
    expect(ended).toBe(false)
    // Even when nothing else is live.
    expect(startsOf({ clicks: [split('s0', 0, { ended: true, successors: waiting, waiting })] }).get('count/0')?.ended).toBe(false)
  })

  it('at their end when all before them are, through all stages', () => {
    const starts = startsOf({ clicks: [split('s0', 0, { ended: true }), split('s1', 1, { ended: true })] })
    expect([...starts.values()].every(({ ended }) => ended)).toBe(true)
    expect(starts.get('out/0')?.channels).toEqual({ '1:0': { next: 1, ...NOTHING_KNOWN, successors: [] } })
    expect(starts.get('out/0')?.inputs).toEqual([{ watermark: MAX_WATERMARK, idle: false }])
  })

  it('have an input that is over hold back the other no longer', () => {
    const join = startsOf({ left: [split('l0', 0, { ended: true })], right: [split('r0', 1)] }, joinGraph()).get('join/1')
    expect(join).toMatchObject({ ended: false, inputs: [{ watermark: MAX_WATERMARK, idle: false }, NOTHING_KNOWN] })
    expect(join?.channels).toMatchObject({ '0:l0': { successors: [] }, '1:r0': { successors: null } })
  })
})

describe('what a restore puts into a log', () => {
  const head: CommitRecord = {
    ...retiredRecord({ plan: 'p1', attempt: 3, epoch: 16, atMs: 1 }, undefined, 1),
    kind: 'BATCH',
    life: 'stopped',
    position: '41',
    lastNow: 77,
    index: 1,
    channels: { '0:s0': { next: 7, ...NOTHING_KNOWN, successors: null } },
    outputs: { '1:1': { next: 9, ...NOTHING_KNOWN } },
    deltas: [['count', new Uint8Array(2)]],
    operatorChanges: new Uint8Array(1),
    wakeAt: 80,
    stash: new Uint8Array(3),
    outbox: new Uint8Array(3),
    head: { watermark: 99, idle: true },
  }
  const starts = startsOf({ clicks: [split('s0', 0), split('s7', 3, { position: null, formerOrdinal: undefined })] })

  it('begins anew: the position in the stream between stages and the time stay, frames count from 1, nothing waits', () => {
    const record = resetRecord(PLACE, starts.get('count/1') as SubtaskStart, EMPTY, head, 12)
    expect(record).toMatchObject({ plan: 'p2', attempt: 4, kind: 'RESET', life: 'running', position: '41', epoch: 17, lastNow: 77, index: 1 })
    // An empty object would match any.
    expect([record.outputs, record.origins]).toEqual([{}, {}])
    expect(record).toMatchObject({
      sweep: null,
      wakeAt: null,
      stash: null,
      outbox: null,
      deltas: [],
      operatorChanges: null,
      head: null,
    })
    expect(decodeCommit('log', { version: 11, payload: encodeCommit(head) })).toEqual(head)
    expect(record.base).toEqual({ version: 12, atMs: 99, state: null })
    expect(decodeCommit('log', { version: 12, payload: encodeCommit(record) })).toEqual(record)
  })

  it('has a source take the position of the checkpoint, or none', () => {
    const source = resetRecord(PLACE, starts.get('clicks/s0') as SubtaskStart, EMPTY, head, 12)
    expect(source).toMatchObject({ position: '5', index: 0, inputs: [] })
    expect([source.channels, Object.keys(source.outputs)]).toEqual([{}, []])
    expect(resetRecord(PLACE, starts.get('clicks/s7') as SubtaskStart, EMPTY, head, 12)).toMatchObject({ position: null, index: 3 })
    expect(resetRecord(PLACE, starts.get('count/0') as SubtaskStart, EMPTY, undefined, 1)).toMatchObject({
      position: null,
      lastNow: Number.NEGATIVE_INFINITY,
    })
  })

  it('retires with the position, so that a later restore can take the subtask back', () => {
    const record = retiredRecord(PLACE, head, 12)
    expect(record).toMatchObject({
      plan: 'p1',
      attempt: 4,
      life: 'retired',
      kind: 'RESET',
      position: '41',
      index: 1,
      outbox: null,
      stash: null,
    })
    expect([record.channels, record.outputs, record.deltas]).toEqual([{}, {}, []])
  })
})
