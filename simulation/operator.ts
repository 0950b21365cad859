import { isDropped } from '../runtime/checkpoint/clean-up-decisions.js'
import type { ManifestRef } from '../runtime/checkpoint/job-record.js'
import { MillraceError } from '../runtime/core/index.js'
import { Job, type Revision } from './job.js'
import { checkUnchanged } from './job-checks.js'
import type { ActionWeights } from './profiles.js'
import { checkpointsOf } from './stage-ports.js'
import type { World } from './world.js'

/** Of the numbers drawn for how far an activation comes, those from which on it comes to its end. */
const READS_FROM = 28
/** How often somebody asks for what clean-up has dropped, where there is some. */
const DROPPED_ASKED = 0.25
/** A checkpoint that has been polled more often is polled at ever longer intervals. */
const HURRIED_POLLS = 6

/** Who operates the job while things go wrong: takes checkpoints, restores, rescales, stops, forks, and reshards the sources. */
export class Operator {
  readonly #world: World
  /** Checkpoints that are taken while something else goes on. */
  readonly #background = new Set<Promise<void>>()
  #forks = 0

  constructor(readonly job: Job) {
    this.#world = job.world
  }

  async run(decisions: number): Promise<void> {
    for (let i = 0; i < decisions; i++) {
      await this.#sleep(this.#world.chance.pick([1_000, 10_000, 60_000]))
      await this.#act(this.#choose(this.#world.options.profile.actions))
    }
    while (this.#background.size > 0) await Promise.race(this.#background)
  }

  #choose(weights: ActionWeights): keyof ActionWeights {
    const entries = Object.entries(weights) as [keyof ActionWeights, number][]
    let left = this.#world.chance.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [action, weight] of entries) {
      left -= weight
      if (left < 0) return action
    }
    return 'wait'
  }

  async #act(action: keyof ActionWeights): Promise<void> {
    const { chance } = this.#world
    switch (action) {
      case 'checkpoint':
      case 'savepoint': {
        const taken = this.#take(action)
        if (chance.happens(0.4)) return taken
        this.#background.add(taken)
        void taken.then(() => this.#background.delete(taken))
        return
      }
      case 'restore':
        // Seldom from nothing.
        return this.job.observer.completed.size === 0 && chance.happens(0.8) ? this.#take('checkpoint') : this.#restoreAny()
      case 'rescale':
        return this.#rescale()
      case 'stop':
        return this.#stopAndResume()
      case 'rollback':
        return this.#rollback()
      case 'fork':
        return this.#fork()
      case 'split':
      case 'merge':
        return this.reshard(action)
      case 'wait':
        return this.#sleep(chance.pick([60_000, 600_000, this.#world.machine.longestStallMs, this.#world.graceMs]))
    }
  }

  #sleep(ms: number): Promise<void> {
    return this.#world.scheduler.sleep(ms * (0.5 + this.#world.chance.next()))
  }

  async #take(kind: 'checkpoint' | 'savepoint'): Promise<void> {
    this.#maybeReshard(2_000)
    await this.checkpoint(kind)
    if (this.#world.faults.draw(['back-to-back']) !== undefined) await this.checkpoint('checkpoint')
  }

  /** Begins a checkpoint and polls until it is over: its id if it has completed. */
  async checkpoint(kind: 'checkpoint' | 'savepoint' | 'stop'): Promise<number | undefined> {
    const { job } = this
    const { faults, chance } = this.#world
    const revision = job.revision
    const askedAtMs = this.#world.now
    const begun = await job.step(`begin ${kind}`, revision, (control) => control.begin(kind))
    if (begun === undefined) return undefined
    if (begun.status === 'unchanged') {
      checkUnchanged(job, begun.checkpointId, askedAtMs)
      return begun.checkpointId
    }
    // One that is in progress is ours all the same: who began it, in a call before, may be gone.
    const id = begun.status === 'begun' ? begun.checkpointId : begun.pending
    if (id === undefined) return undefined
    const pending = job.record?.pending?.id === id ? job.record.pending.kind : undefined
    // What another began and has come to its end meanwhile may be of any kind.
    const kindBegun = pending ?? (begun.status === 'begun' ? kind : undefined)
    let polls = faults.draw(['abort-at-random']) === undefined ? Number.POSITIVE_INFINITY : chance.below(5)
    for (let poll = 0; job.record?.pending?.id === id; poll++) {
      // Who waits for hours does not ask every second.
      await this.#sleep(chance.pick([300, 2_000, 6_000]) * 2 ** Math.max(0, Math.min(8, (poll - HURRIED_POLLS) / 2)))
      if (polls-- <= 0) await job.step('abort', revision, (control) => control.abort(id, 'at random'))
      else await job.step('poll', revision, (control) => control.poll())
    }
    // As the state machine does, which hears only so that a subtask has given it up; it tells the others.
    await job.step('poll', revision, (control) => control.poll())
    return kindBegun === kind && job.observer.completed.has(id) ? id : undefined
  }

  /** Polls until no checkpoint is in progress. */
  async settle(): Promise<void> {
    const { job } = this
    while (job.record?.pending !== null && job.record !== undefined) {
      await this.#sleep(2_000)
      await job.step('poll', job.revision, (control) => control.poll())
    }
  }

  // --- restores ----------------------------------------------------------------------------------------------------------

  #anyCheckpoint(): ManifestRef | null {
    const { chance } = this.#world
    const dropped = this.#completed.filter((ref) => this.#isDropped(ref))
    if (dropped.length > 0 && chance.happens(DROPPED_ASKED)) return chance.pick(dropped)
    const completed = this.#standing()
    if (completed.length === 0 || chance.happens(0.05)) return null
    const [newest, oldest] = [completed[completed.length - 1], completed[0]]
    return chance.happens(0.5) ? newest : chance.happens(0.3) ? oldest : chance.pick(completed)
  }

  get #completed(): ManifestRef[] {
    return [...this.job.observer.completed].map(([checkpointId, { savepoint }]): ManifestRef => ({ checkpointId, savepoint }))
  }

  #isDropped(ref: ManifestRef): boolean {
    const { record } = this.job
    return record !== undefined && isDropped(record, ref)
  }

  /** What may be restored; now and then what clean-up has dropped too. */
  #standing(): ManifestRef[] {
    return this.#world.chance.happens(0.05) ? this.#completed : this.#completed.filter((ref) => !this.#isDropped(ref))
  }

  /** Now and then the sources change in the middle of something else. */
  #maybeReshard(withinMs: number): void {
    const { chance, scheduler, options } = this.#world
    const { split = 0, merge = 0 } = options.profile.actions
    if (split + merge > 0 && chance.happens(0.4)) scheduler.after(chance.below(withinMs), () => this.reshard(chance.pick(['split', 'merge'])))
  }

  async #restoreAny(): Promise<void> {
    const { faults, scheduler, chance } = this.#world
    this.#maybeReshard(800)
    if (this.#world.underWay > 0) faults.happened('restore-with-zombies')
    const first = this.activate(this.job.revision, this.#anyCheckpoint(), { anew: true })
    if (faults.draw(['restore-again']) === undefined) return void (await first)
    await scheduler.sleep(chance.below(2_000))
    await Promise.all([first, this.activate(this.job.revision, this.#anyCheckpoint(), { anew: true })])
  }

  /** `anew`: the sources' mappings are replaced, because positions go back. `lives`: calls after which the activation is cut short for good. */
  async activate(
    revision: Revision,
    from: ManifestRef | null,
    options: { readonly anew: boolean; readonly retire?: Revision; readonly lives?: number },
  ): Promise<boolean> {
    const { job } = this
    const { retire, lives, anew } = options
    if (anew) job.readers?.disable()
    const former = retire === undefined ? undefined : { ...retire.deployment, graph: retire.graph }
    const expected = job.record?.attempt ?? 0
    if (anew && expected > 0) this.#world.faults.happened(from === null ? 'restore-afresh' : 'restore')
    const { origin } = job
    const elsewhere = from?.root !== undefined && origin !== undefined ? origin.job.checkpoints : undefined
    const record = await job.step(
      'activate',
      revision,
      (control, program) =>
        control
          .activate({
            from,
            expected,
            ...(former === undefined ? {} : { retire: former }),
            ...(elsewhere === undefined ? {} : { store: checkpointsOf(program, elsewhere) }),
          })
          .catch((error: unknown) => {
            if (!this.#wasDropped(from, error)) throw error
            return undefined
          }),
      lives,
    )
    if (record === undefined || job.record?.attempt !== record.attempt) {
      // Nothing has begun, so what was goes on; unless it was on its way: then the readers are the last attempt's, and its own come when it has begun.
      if (anew && job.record?.attempt === expected && job.record.phase === 'running' && job.readers?.attempt === expected)
        job.readers.repoint(job.readers.revision, expected)
      return false
    }
    if (anew || job.readers === undefined) job.readFrom(revision, record.attempt, record.from)
    else job.readers.repoint(revision, record.attempt)
    return true
  }

  /** Clean-up of the folder had taken it before anything of the job relied on it. */
  #wasDropped(from: ManifestRef | null, error: unknown): boolean {
    const { job } = this
    const code = error instanceof MillraceError ? error.code : ''
    const folder = from?.root === undefined ? job : job.origin?.job
    if (from === null || folder?.record === undefined) return false
    const dropped = !from.savepoint && from.checkpointId <= folder.record.dropped
    const gone =
      from.root === undefined ? isDropped(folder.record, from) && /NOT_FOUND$|REFUSED$/.test(code) : dropped && /NOT_FOUND$|CORRUPT$/.test(code)
    if (gone) this.#world.faults.happened('restore-dropped')
    return gone
  }

  async #stop(): Promise<ManifestRef | undefined> {
    const checkpointId = await this.checkpoint('stop')
    return checkpointId === undefined ? undefined : { checkpointId, savepoint: true }
  }

  async #stopAndResume(): Promise<void> {
    const savepoint = await this.#stop()
    if (savepoint === undefined) return
    this.#world.faults.happened('stop-and-resume')
    await this.#sleep(this.#world.chance.pick([1_000, 5_000, 60_000]))
    await this.activate(this.job.revision, savepoint, { anew: this.#world.chance.happens(0.3) })
  }

  async #rescale(): Promise<void> {
    const { chance, faults } = this.#world
    const { job } = this
    const old = job.revision
    const stopped = !chance.happens(this.#world.options.profile.abrupt ?? 0.3)
    const from = stopped ? await this.#stop() : this.#anyCheckpoint()
    if (from === undefined) return
    faults.happened('rescale')
    const revision = job.deploy(chance.between(1, Math.min(4, this.#world.simulated.maxParallelism)))
    await this.activate(revision, from, { anew: !stopped, retire: old })
  }

  async #rollback(): Promise<void> {
    const { chance, faults } = this.#world
    const { job } = this
    const old = job.revision
    const savepoint = await this.#stop()
    if (savepoint === undefined) return
    faults.happened('rollback')
    const revision = job.deploy(chance.between(1, Math.min(4, this.#world.simulated.maxParallelism)))
    const lives = chance.between(1, 40)
    // Now and then it fails only after it has begun to read: then records are acknowledged for it, and the sources go back to the savepoint.
    const reads = lives > READS_FROM
    const began = await this.activate(revision, savepoint, { anew: false, retire: old, ...(reads ? {} : { lives }) })
    if (began) faults.happened('rollback-after-reading')
    await this.#sleep(reads ? 60_000 : 10_000)
    // A small job may have been activated within few calls.
    await this.activate(old, savepoint, { anew: began, retire: revision })
  }

  async #fork(): Promise<void> {
    const { chance, faults, jobs } = this.#world
    const completed = this.#standing()
    if (completed.length === 0 || this.#forks >= 1) return
    faults.happened('fork')
    this.#forks++
    const { checkpointId, savepoint } = chance.pick(completed)
    const fork = new Job(this.#world, `${this.job.name}-fork${jobs.length}`, { job: this.job, checkpointId })
    const revision = fork.deploy(chance.happens(0.5) ? this.job.revision.parallelism : chance.between(1, 3))
    const begun = await new Operator(fork).activate(revision, { checkpointId, savepoint, root: this.job.name }, { anew: true })
    // Only savepoints are sure to stay as long as another job copies them.
    if (!begun && !savepoint && checkpointId <= (this.job.record?.dropped ?? 0)) fork.giveUp()
  }

  // --- sources -----------------------------------------------------------------------------------------------------------

  reshard(action: 'split' | 'merge'): void {
    const { chance, faults, sources, jobs } = this.#world
    const source = chance.pick([...sources.values()])
    if (source.open.length === 0 || source.shards.size > 12) return
    const shard = chance.pick(source.open)
    const done = action === 'split' ? source.split(shard) : source.merge(shard)
    if (!done) return
    faults.happened(action)
    if (this.job.record?.pending !== null) faults.happened('reshard-in-checkpoint')
    if (this.job.record?.phase === 'restoring') faults.happened('reshard-in-restore')
    for (const job of jobs) job.wakeReaders()
  }
}
