import { describe, expect, it } from 'vitest'
import { type DeploymentDecision, decideDeployment, decideRestoreTo, expendableSavepoints, finished } from '../../functions/deployment-decisions.js'
import { type DeployedRevision, type DeploymentRecord, noDeployment, type Transition } from '../../functions/deployment-record.js'
import { startJob } from '../../runtime/checkpoint/job-decisions.js'
import type { JobRecord } from '../../runtime/checkpoint/job-record.js'

const NOW = 1_800_000_000_000
const [A, B, C] = ['a', 'b', 'c'].map((revision): DeployedRevision => ({ revision, control: `control:${revision}`, sources: {} }))

function jobOf(change: Partial<JobRecord> = {}): JobRecord {
  const started = startJob({
    job: 'clicks',
    revision: 'a',
    plan: 'plan',
    from: null,
    sources: {},
    newestId: 0,
    firstAttempt: 5,
    inner: [],
    formerInner: [],
  })
  return { ...started, phase: 'running', ...change }
}

function ask(to: DeployedRevision, request = 'next') {
  return { request, to, allowStateLoss: [] }
}

function recordOf(decision: DeploymentDecision): DeploymentRecord {
  if (decision.kind !== 'put') throw new Error(`not put: ${JSON.stringify(decision)}`)
  return decision.record
}

const ACTIVE: DeploymentRecord = { ...noDeployment(NOW), active: A }

/** From A to B, in a phase. */
function underWay(change: Partial<Transition>): DeploymentRecord {
  const { transition, ...rest } = recordOf(decideDeployment(ACTIVE, jobOf(), ask(B, 'forward'), NOW))
  return { ...rest, transition: { ...(transition as Transition), ...change } }
}

describe('a deployment', () => {
  it('begins a job that never ran with nothing', () => {
    const { transition } = recordOf(decideDeployment(noDeployment(NOW), undefined, ask(A), NOW))
    expect(transition).toMatchObject({ from: null, to: A, phase: 'restoring', begin: null, expected: 0, replace: true })
  })

  it('stops the revision before, once its state is known to have a place', () => {
    const decision = decideDeployment(ACTIVE, jobOf(), ask(B), NOW)
    expect(decision).toMatchObject({ kind: 'put', compare: true })
    expect(recordOf(decision).transition).toMatchObject({ from: A, to: B, phase: 'stopping', replace: false, back: false, otherwise: null })
  })

  it('goes on where it stands when it is asked for again, and has nothing to do afterwards', () => {
    const record = underWay({ phase: 'reading' })
    expect(decideDeployment(record, jobOf(), ask(B, 'forward'), NOW)).toEqual({ kind: 'keep' })
    const again = recordOf(decideDeployment(record, jobOf(), ask(B, 'again'), NOW + 5))
    expect(again.transition).toEqual({ ...record.transition, request: 'again', phaseAtMs: NOW + 5 })
    const ended = finished(record, record.transition as Transition, NOW)
    expect(ended).toMatchObject({ active: B, transition: null })
    expect(decideDeployment(ended, jobOf(), ask(B, 'forward'), NOW)).toEqual({ kind: 'done' })
    expect(decideDeployment(ended, jobOf(), ask(B, 'later'), NOW)).toEqual({ kind: 'done' })
  })
})

describe('a roll-back', () => {
  it('of what never began does nothing', () => {
    expect(decideDeployment(ACTIVE, jobOf(), ask(A), NOW)).toEqual({ kind: 'done' })
  })

  it('while the old revision is being stopped undoes the stop', () => {
    const { transition } = recordOf(decideDeployment(underWay({ phase: 'stopping' }), jobOf(), ask(A), NOW))
    expect(transition).toMatchObject({ to: A, phase: 'resuming', back: true })
  })

  const begin = { checkpointId: 9, savepoint: true }

  it('before anything was read restores the savepoint and leaves the sources where they are', () => {
    const record = underWay({ phase: 'restoring', begin, expected: 5 })
    const { transition } = recordOf(decideDeployment(record, jobOf({ attempt: 6, revision: 'b' }), ask(A), NOW))
    expect(transition).toMatchObject({ from: B, to: A, phase: 'restoring', begin, expected: 6, replace: false, back: true })
  })

  it('behind that lets the sources go back, too, and so does whoever leaves it then', () => {
    const record = underWay({ phase: 'reading', begin, expected: 5, attempt: 6 })
    const back = recordOf(decideDeployment(record, jobOf({ attempt: 6, revision: 'b' }), ask(A), NOW))
    expect(back.transition).toMatchObject({ phase: 'restoring', begin, expected: 6, replace: true, back: true })
    const on = recordOf(decideDeployment(back, jobOf({ attempt: 6, revision: 'b' }), ask(C), NOW))
    expect(on.transition).toMatchObject({ to: C, phase: 'restoring', begin, replace: true, back: false })
  })

  it('of what has come to its end stops the newer one, and may fall back to the savepoint, for a while', () => {
    const record = underWay({ phase: 'reading', begin, attempt: 6 })
    const ended = finished(record, record.transition as Transition, NOW)
    const at = (now: number) => recordOf(decideDeployment(ended, jobOf({ revision: 'b' }), ask(A), now)).transition
    expect(at(NOW + 60_000)).toMatchObject({ from: B, to: A, phase: 'stopping', otherwise: begin })
    expect(at(NOW + 3 * 60 * 60_000)).toMatchObject({ phase: 'stopping', otherwise: null })
    expect(recordOf(decideDeployment(ended, jobOf({ revision: 'b' }), ask(C), NOW)).transition).toMatchObject({ otherwise: null })
  })
})

describe('a job whose stack was removed', () => {
  const removed = noDeployment(NOW)

  it('goes on from the savepoint it stopped with, or the last checkpoint', () => {
    const stopped = recordOf(
      decideDeployment(removed, jobOf({ phase: 'stopped', last: { checkpointId: 4, savepoint: true } }), ask(B), NOW),
    ).transition
    expect(stopped).toMatchObject({ phase: 'restoring', begin: { checkpointId: 4, savepoint: true }, expected: 5, replace: true })
    const cut = recordOf(decideDeployment(removed, jobOf({ completed: 5, last: { checkpointId: 4, savepoint: false } }), ask(B), NOW)).transition
    expect(cut).toMatchObject({ begin: { checkpointId: 4, savepoint: false } })
  })

  it('is refused without one, unless it never came to run', () => {
    expect(decideDeployment(removed, jobOf(), ask(B), NOW)).toMatchObject({
      kind: 'refused',
      why: expect.stringContaining('no completed checkpoint'),
    })
    expect(recordOf(decideDeployment(removed, jobOf({ phase: 'restoring' }), ask(B), NOW)).transition).toMatchObject({ begin: null, expected: 5 })
  })
})

describe('a restore', () => {
  const wish = { request: 'wish', checkpointId: 3, savepoint: false }

  it('replaces the sources’ mappings, and waits for no other restore', () => {
    const record = recordOf(decideRestoreTo(ACTIVE, jobOf(), wish, NOW))
    expect(record.transition).toMatchObject({ from: A, to: A, phase: 'restoring', begin: { checkpointId: 3 }, expected: 5, replace: true })
    expect(decideRestoreTo(record, jobOf(), wish, NOW)).toEqual({ kind: 'keep' })
    const other = recordOf(decideRestoreTo(record, jobOf({ attempt: 6 }), { ...wish, request: 'other', checkpointId: 2 }, NOW))
    expect(other.transition).toMatchObject({ begin: { checkpointId: 2 }, expected: 6 })
    const ended = finished(record, record.transition as Transition, NOW)
    expect(decideRestoreTo(ended, jobOf(), wish, NOW)).toEqual({ kind: 'done' })
  })

  it('is refused while a revision is being deployed, and before one was', () => {
    expect(decideRestoreTo(underWay({ phase: 'stopping' }), jobOf(), wish, NOW)).toMatchObject({ kind: 'refused' })
    expect(decideRestoreTo(underWay({ phase: 'reading' }), jobOf(), wish, NOW)).toMatchObject({ kind: 'refused' })
    expect(decideRestoreTo(noDeployment(NOW), undefined, wish, NOW)).toMatchObject({ kind: 'refused' })
  })
})

describe('an upgrade by the last state', () => {
  const lastState = (to: DeployedRevision, request = 'next') => ({ ...ask(to, request), upgradeMode: 'last-state' as const })
  const running = jobOf({ last: { checkpointId: 3, savepoint: false }, completed: 3 })
  const begun = recordOf(decideDeployment(ACTIVE, running, lastState(B, 'forward'), NOW))

  it('asks nothing of the revision before, once its state is known to have a place', () => {
    expect(decideDeployment(ACTIVE, running, lastState(B), NOW)).toMatchObject({ kind: 'put', compare: true })
    expect(begun.transition).toMatchObject({ from: A, to: B, phase: 'restoring', begin: 'last-state', expected: 5, replace: true, back: false })
  })

  it('leaves it running when it is taken back before its attempt began', () => {
    const { transition } = recordOf(decideDeployment(begun, running, ask(A), NOW))
    expect(transition).toMatchObject({ from: B, to: A, phase: 'reading', attempt: 5, begin: null, replace: false, back: true })
  })

  it('is taken back to what its attempt began with', () => {
    const restored = jobOf({ revision: 'b', attempt: 6, from: { checkpointId: 4, savepoint: false } })
    const { transition } = recordOf(decideDeployment(begun, restored, ask(A), NOW))
    const back = { from: B, to: A, phase: 'restoring', begin: { checkpointId: 4, savepoint: false }, expected: 6, replace: true, back: true }
    expect(transition).toMatchObject(back)
    const reading = { ...begun, transition: { ...(begun.transition as Transition), phase: 'reading' as const, begin: restored.from, attempt: 6 } }
    expect(recordOf(decideDeployment(reading, restored, ask(A), NOW)).transition).toMatchObject(back)
  })

  it('takes the place of one that waits for a stop', () => {
    const stopping = underWay({})
    expect(decideDeployment(stopping, running, lastState(C), NOW)).toMatchObject({ kind: 'put', compare: true })
    const { transition } = recordOf(decideDeployment(stopping, running, lastState(C), NOW))
    expect(transition).toMatchObject({ from: A, to: C, phase: 'restoring', begin: 'last-state', replace: true })
    const resuming = recordOf(decideDeployment(stopping, running, ask(A), NOW))
    expect(recordOf(decideDeployment(resuming, running, lastState(C), NOW)).transition).toMatchObject({
      from: A,
      to: C,
      phase: 'restoring',
      back: false,
    })
  })
})

describe('savepoints that deployments have made', () => {
  const settings = { retainedSavepoints: 2 } as DeployedRevision['settings']
  const stopped = (id: number, stop: number | undefined = id): Transition => {
    const { transition } = underWay({ phase: 'reading', begin: { checkpointId: id, savepoint: true } })
    return { ...(transition as Transition), to: { ...B, settings }, ...(stop === undefined ? {} : { stop }) }
  }
  const recordAfter = (...transitions: readonly Transition[]) => transitions.reduce((record, transition) => finished(record, transition, NOW), ACTIVE)

  it('are known, and those that somebody asked for are not among them', () => {
    const asked = { ...stopped(5), stop: undefined as never }
    expect(recordAfter(stopped(3), asked, stopped(7, 6), stopped(8), stopped(8)).savepoints).toEqual([3, 8])
  })

  it('may be deleted but for the newest, and what a deployment may go back to', () => {
    const record = recordAfter(stopped(3), stopped(4), stopped(5), stopped(6))
    expect(expendableSavepoints(record)).toEqual([3, 4])
    const back: DeploymentRecord = { ...record, transition: { ...stopped(9), begin: { checkpointId: 3, savepoint: true } } }
    expect(expendableSavepoints(back)).toEqual([4])
    expect(expendableSavepoints({ ...back, transition: stopped(9), last: { transition: stopped(4), endedAtMs: NOW } })).toEqual([3])
    expect(expendableSavepoints({ ...record, active: B })).toEqual([])
  })
})
