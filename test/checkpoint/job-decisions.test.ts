import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  controlOf,
  type Decision,
  decideAbort,
  decideBegin,
  decideComplete,
  decideCompleted,
  decideRegister,
  decideRestore,
  decideRunning,
  missingAcks,
  onTimeout,
  type RestoreFacts,
  registeredAs,
  startJob,
} from '../../runtime/checkpoint/job-decisions.js'
import { decodeJobRecord, encodeJobRecord, type JobRecord } from '../../runtime/checkpoint/job-record.js'

const FACTS: RestoreFacts = {
  job: 'clicks',
  revision: 'r1',
  plan: 'p1',
  from: null,
  newestId: 0,
  firstAttempt: 1,
  sources: { clicks: [{ splitId: 's0', parents: [] }] },
  inner: [{ stage: 'count', subtask: '0' }],
  formerInner: [],
}
const NEED = [1, 2]
const ALL = new Set(NEED)
const NOBODY = new Map<number, number>()

function next(decision: Decision): JobRecord {
  if (decision.kind !== 'put') throw new Error(`no new record: ${JSON.stringify(decision)}`)
  return decision.record
}

function running(change: Partial<JobRecord> = {}): JobRecord {
  return { ...next(decideRunning(startJob(FACTS), 1)), ...change }
}

function why(decision: Decision): string {
  return decision.kind === 'refused' ? decision.why : decision.kind
}

describe('job decisions', () => {
  it('begins one checkpoint at a time, and none of a job that restores or has stopped', () => {
    expect(why(decideBegin(startJob(FACTS), 'checkpoint', NEED, 5))).toBe('the job is being restored')
    const pending = next(decideBegin(running(), 'checkpoint', NEED, 5))
    expect(pending).toMatchObject({ begun: 1, pending: { id: 1, kind: 'checkpoint', startedAtMs: 5, need: NEED, completing: false } })
    expect(why(decideBegin(pending, 'savepoint', NEED, 6))).toBe('checkpoint 1 is in progress')
    expect(why(decideBegin(running({ phase: 'stopped' }), 'checkpoint', NEED, 5))).toBe('the job has stopped')
  })

  it('completes when all have acknowledged, or had ended at an earlier epoch', () => {
    const pending = next(decideBegin(running(), 'checkpoint', NEED, 5))
    expect(why(decideComplete(pending, 1, new Set([1]), NOBODY))).toBe('1 of 2 acknowledgements are missing')
    expect(why(decideComplete(pending, 1, new Set([1]), new Map([[2, 1]])))).toBe('1 of 2 acknowledgements are missing')
    const completing = next(decideComplete(pending, 1, new Set([1]), new Map([[2, 0]])))
    expect(why(decideCompleted(pending, 1))).toBe('checkpoint 1 still waits for acknowledgements')
    expect(decideComplete(completing, 1, new Set(), NOBODY)).toEqual({ kind: 'keep' })
    const completed = next(decideCompleted(completing, 1))
    expect(completed).toMatchObject({ completed: 1, pending: null, phase: 'running' })
    expect(decideCompleted(completed, 1)).toEqual({ kind: 'keep' })
  })

  it('aborts what waits, and nothing that is completing', () => {
    const pending = next(decideBegin(running(), 'checkpoint', NEED, 5))
    const aborted = next(decideAbort(pending, 1, 'the stash is full'))
    expect(aborted).toMatchObject({ aborted: 1, abortedWhy: 'the stash is full', pending: null, completed: 0 })
    expect(decideAbort(aborted, 1, 'again')).toEqual({ kind: 'keep' })
    expect(why(decideComplete(aborted, 1, ALL, NOBODY))).toBe('checkpoint 1 is not pending')
    const completing = next(decideComplete(pending, 1, ALL, NOBODY))
    expect(why(decideAbort(completing, 1, ''))).toBe('checkpoint 1 is being completed')
    expect(onTimeout(completing, 10, 1_000)).toEqual({ kind: 'keep' })
    expect(onTimeout(pending, 10, 14)).toEqual({ kind: 'keep' })
    expect(next(onTimeout(pending, 10, 15)).aborted).toBe(1)
  })

  it('registers a split once, at the epoch of the last checkpoint that has begun, which does not need it', () => {
    const pending = next(decideBegin(running(), 'checkpoint', NEED, 5))
    const split = { splitId: 's1', parents: ['s0'] }
    const registered = next(decideRegister(pending, { attempt: 1, stage: 'clicks', split }))
    expect(registered.pending?.need).toEqual(NEED)
    expect(registeredAs(registered, 'clicks', 's1')).toEqual({ epoch: 1, ordinal: 1, stopped: false })
    expect(decideRegister(registered, { attempt: 1, stage: 'clicks', split })).toEqual({ kind: 'keep' })
    expect(why(decideRegister(registered, { attempt: 2, stage: 'clicks', split }))).toBe('the job is at attempt 1')
    expect(why(decideRegister(registered, { attempt: 1, revision: 'r0', stage: 'clicks', split }))).toBe('the job is at revision r1')
    expect(why(decideRegister(startJob(FACTS), { attempt: 1, stage: 'clicks', split }))).toBe('the job is being restored')
    expect(why(decideRegister(running(), { attempt: 1, stage: 'count', split }))).toBe('stage "count" is no source of the job')
  })

  it('has a split that registers behind the barrier of a stop begin stopped, until that is aborted', () => {
    const stopping = next(decideBegin(running(), 'stop', NEED, 5))
    expect(controlOf(stopping)).toEqual({ attempt: 1, begun: 1, stop: true, savepoint: true, aborted: 0, completed: 0 })
    const registered = next(decideRegister(stopping, { attempt: 1, stage: 'clicks', split: { splitId: 's1', parents: ['s0'] } }))
    expect(registeredAs(registered, 'clicks', 's1')?.stopped).toBe(true)
    expect(registeredAs(registered, 'clicks', 's0')?.stopped).toBe(false)
    expect(registeredAs(next(decideAbort(registered, 1, '')), 'clicks', 's1')?.stopped).toBe(false)
    const stopped = next(decideCompleted(next(decideComplete(registered, 1, ALL, NOBODY)), 1))
    expect(stopped).toMatchObject({ phase: 'stopped', completed: 1 })
    expect(controlOf(stopped).stop).toBe(true)
    expect(why(decideRegister(stopped, { attempt: 1, stage: 'clicks', split: { splitId: 's2', parents: [] } }))).toBe('the job has stopped')
  })

  it('restores to the next attempt: what was pending is aborted, ids go on, ordinals begin anew', () => {
    const pending = { ...next(decideBegin(running(), 'checkpoint', NEED, 5)), begun: 7, completed: 4 }
    const from = { checkpointId: 3, savepoint: false }
    const restored = next(decideRestore(pending, { ...FACTS, from, sources: { clicks: [{ splitId: 's9', parents: ['s0'] }] } }))
    expect(restored).toMatchObject({ attempt: 2, phase: 'restoring', from, begun: 7, aborted: 1, completed: 4, pending: null, nextOrdinal: 1 })
    expect(restored.sources).toEqual({ clicks: { s9: { ordinal: 0, epoch: 7, parents: ['s0'] } } })
    expect(restored.leaving).toEqual([{ revision: 'r1', stage: 'clicks', subtask: 's0' }])
    // Cut short and begun again: it leaves still.
    const again = next(decideRestore(restored, { ...FACTS, from, sources: { clicks: [{ splitId: 's9', parents: ['s0'] }] } }))
    expect(again).toMatchObject({ attempt: 3, leaving: restored.leaving })
    expect(next(decideRunning(restored, 2))).toMatchObject({ phase: 'running', leaving: [] })
    expect(why(decideRunning(restored, 1))).toBe('attempt 2 has begun')
    const completing = next(decideComplete(next(decideBegin(running(), 'checkpoint', NEED, 5)), 1, ALL, NOBODY))
    expect(why(decideRestore(completing, { ...FACTS, from }))).toBe('checkpoint 1 is being completed')
  })

  it('has ids behind those in the folder, and behind the checkpoint of another job that it begins with', () => {
    expect(startJob({ ...FACTS, newestId: 12 })).toMatchObject({ begun: 12, completed: 0 })
    expect(startJob({ ...FACTS, from: { checkpointId: 20, savepoint: true, root: 'elsewhere' } })).toMatchObject({
      begun: 20,
      completed: 20,
      attempt: 1,
    })
  })

  it('has attempts from the first on, whatever a restore would call the first', () => {
    const first = next(decideRunning(startJob({ ...FACTS, firstAttempt: 700 }), 700))
    expect(first).toMatchObject({ attempt: 700, firstAttempt: 700 })
    expect(next(decideRestore(first, { ...FACTS, firstAttempt: 900 }))).toMatchObject({ attempt: 701, firstAttempt: 700 })
  })

  it('retires another revision, and takes it back', () => {
    const inner = [{ stage: 'count', subtask: '0' }]
    const second = next(
      decideRestore(running(), { ...FACTS, revision: 'r2', inner: [...inner, { stage: 'count', subtask: '1' }], formerInner: inner }),
    )
    const first = ['clicks/s0', 'count/0'].map((name) => ({ revision: 'r1', stage: name.split('/')[0], subtask: name.split('/')[1] }))
    expect(second.leaving).toEqual(first)
    expect(second.writers).toBe(2)
    // Cut short, and rolled back.
    const back = next(decideRestore(second, { ...FACTS, formerInner: [...inner, { stage: 'count', subtask: '1' }] }))
    expect(back.leaving.map(({ revision, stage, subtask }) => `${revision}/${stage}/${subtask}`).sort()).toEqual([
      'r2/clicks/s0',
      'r2/count/0',
      'r2/count/1',
    ])
    expect(back.attempt).toBe(3)
  })

  it('keeps its invariants over random histories', () => {
    const step = fc.record({
      what: fc.constantFrom('begin', 'stop', 'ack', 'end', 'complete', 'completed', 'abort', 'timeout', 'register', 'restore', 'running'),
      which: fc.nat(5),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let record = startJob(FACTS)
        let acks = new Set<number>()
        let ended = new Map<number, number>()
        const fate = new Map<number, 'aborted' | 'completed'>()
        const manifests = new Set<number>()
        const ordinals = new Set<string>()
        for (const [now, { what, which }] of steps.entries()) {
          const before = record
          const { pending } = record
          const decision = ((): Decision => {
            switch (what) {
              case 'begin':
              case 'stop':
                return decideBegin(record, what === 'stop' ? 'stop' : 'checkpoint', [1, ...ordinalsOf(record).map((o) => 2 + o)], now)
              case 'complete':
                return decideComplete(record, which, acks, ended)
              case 'completed':
                return decideCompleted(record, pending?.id ?? which)
              case 'abort':
                return decideAbort(record, pending?.id ?? which, 'asked')
              case 'timeout':
                return onTimeout(record, 5, now)
              case 'register':
                return decideRegister(record, {
                  attempt: record.attempt - (which === 5 ? 1 : 0),
                  stage: 'clicks',
                  split: { splitId: `s${which}`, parents: [] },
                })
              case 'restore':
                return decideRestore(record, { ...FACTS, from: { checkpointId: Math.min(which, record.completed), savepoint: false } })
              case 'running':
                return decideRunning(record, record.attempt)
              default:
                return { kind: 'keep' }
            }
          })()
          if (what === 'ack' && pending !== null) acks.add(pending.need[which % pending.need.length])
          if (what === 'end') ended.set(which, record.begun)
          if (decision.kind !== 'put') {
            if (what === 'complete' && decision.kind === 'keep') manifests.add(which)
            continue
          }
          record = decodeJobRecord('log', { serial: 1, payload: encodeJobRecord(decision.record) })
          // J1, J2
          expect(record.begun).toBeGreaterThanOrEqual(before.begun)
          expect(record.aborted).toBeGreaterThanOrEqual(before.aborted)
          expect(record.completed).toBeGreaterThanOrEqual(before.completed)
          if (record.pending !== null) expect(record.pending.id).toBe(record.begun)
          if (record.pending !== null && before.pending === null) {
            expect(record.begun).toBe(before.begun + 1)
            acks = new Set()
            // J7
            for (const split of Object.values(record.sources.clicks)) expect(split.epoch).toBeLessThan(record.begun)
          }
          if (record.pending?.completing === true) {
            manifests.add(record.pending.id)
            expect(missingAcks(record.pending, acks, ended)).toEqual([])
          }
          // J3, J4
          if (before.pending !== null && record.pending === null) {
            const { id } = before.pending
            expect(fate.has(id)).toBe(false)
            fate.set(id, record.completed === id ? 'completed' : 'aborted')
            expect(record.completed === id).toBe(manifests.has(id))
            expect(record.aborted === id).toBe(!manifests.has(id))
          }
          // J5
          expect(record.attempt).toBe(before.attempt + (what === 'restore' ? 1 : 0))
          if (what === 'restore') {
            ended = new Map()
            ordinals.clear()
            // J8
            const gone = Object.keys(before.sources.clicks).filter((split) => record.sources.clicks[split] === undefined)
            expect(record.leaving.map(({ subtask }) => subtask)).toEqual(expect.arrayContaining(gone))
          }
          // J6
          for (const { ordinal } of Object.values(record.sources.clicks)) expect(ordinal).toBeLessThan(record.nextOrdinal)
          expect(new Set(ordinalsOf(record)).size).toBe(ordinalsOf(record).length)
          if (what === 'register') expect(before.phase).toBe('running')
          for (const [split, { ordinal, epoch }] of Object.entries(before.sources.clicks)) {
            if (what !== 'restore') expect(record.sources.clicks[split]).toMatchObject({ ordinal, epoch })
          }
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('the job record in the log', () => {
  it('comes back as it was', () => {
    const record = next(decideBegin(running(), 'stop', NEED, 5))
    expect(decodeJobRecord('clicks/#job', { serial: 3, payload: encodeJobRecord(record) })).toEqual(record)
  })

  it('is refused when it is damaged, cut off or of another format', () => {
    const payload = encodeJobRecord(running())
    for (let at = 0; at < payload.length; at++) {
      const damaged = payload.slice()
      damaged[at] ^= 1
      expect(() => decodeJobRecord('clicks/#job', { serial: 3, payload: damaged })).toThrow(/LOG_CORRUPT[\s\S]*clicks\/#job, serial 3/)
    }
    expect(() => decodeJobRecord('clicks/#job', { serial: 3, payload: payload.subarray(0, 3) })).toThrow(/LOG_CORRUPT/)
    const other = encodeJobRecord({ ...running(), format: 2 } as unknown as JobRecord)
    expect(() => decodeJobRecord('clicks/#job', { serial: 3, payload: other })).toThrow(/format 2/)
  })
})

function ordinalsOf({ sources }: JobRecord): number[] {
  return Object.values(sources.clicks).map(({ ordinal }) => ordinal)
}
