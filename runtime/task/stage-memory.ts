import type { SubtaskControl } from '../checkpoint/job-record.js'
import type { ControlItem, LogItem } from '../ports/index.js'
import { pack, unpack } from '../state/index.js'
import { keyedBytes } from './base-state.js'
import type { BatchProcessingTime } from './batch-processing-time.js'
import type { CommitRecord } from './commit-record.js'
import type { LiveStage } from './live-stage.js'
import { LoggedState } from './logged-state.js'
import { openStage, type StagePlace } from './open-stage.js'
import type { Failure } from './record-failures.js'
import type { PreparedCommit } from './stage-commit.js'
import { expiredLog, otherPlan } from './stage-errors.js'
import { catchUp, missedCommits, type RecoveredState, recover } from './stage-recovery.js'

/** An instance's knowledge of the subtask, as of one version of the log. */
export interface Memory {
  live: LiveStage
  version: number
  head: CommitRecord
  control: SubtaskControl
  /** The head's outbox has arrived. */
  sent: boolean
  readonly openedAtMs: number
  /** Operator state as it was opened with, or as of its newest base, and what commits have changed since, packed. */
  operatorStates: ReadonlyMap<string, readonly unknown[]>
  operatorChanges: Uint8Array[]
  /** State as the log has it. */
  logged: LoggedState
}

/** The memory has brought forth the commit of `version`, and is as that says. */
export function noteCommit(memory: Memory, version: number, { record, operatorChanges, deltas, base }: PreparedCommit): void {
  memory.version = version
  memory.head = record
  memory.sent = false
  if (base === undefined) {
    memory.logged.append(deltas)
    if (operatorChanges !== undefined) memory.operatorChanges.push(operatorChanges)
    return
  }
  memory.logged = new LoggedState(base)
  // A copy: functions go on with the elements themselves.
  memory.operatorStates = base.operatorStates.size === 0 ? base.operatorStates : new Map(unpack(pack([...base.operatorStates])) as OperatorStates)
  memory.operatorChanges = []
}

type OperatorStates = [uid: string, elements: readonly unknown[]][]

const NO_CONTROL: SubtaskControl = { attempt: 0, begun: 0, stop: false, savepoint: false, aborted: 0, completed: 0 }

/** Keeps the memory of one subtask up with its log: warm where others' commits are changes of what it holds, else from the log alone. */
export class StageMemory {
  current: Memory | undefined
  /** An operator of the stage cannot do with a part of its keyed state. */
  #wholeState = false
  /** A cold start would bring all of the keyed state into memory again. */
  #staysWhole = false

  constructor(
    readonly place: StagePlace,
    readonly log: string,
    /** What each opening begins with: records that have failed in this invocation. */
    readonly skips: () => ReadonlyMap<string, Failure>,
  ) {}

  /** What is in memory is not trusted any more. */
  get isTooOld(): boolean {
    const { ports, settings } = this.place
    return this.current !== undefined && ports.clock.now() - this.current.openedAtMs > settings.cacheMaxAgeMs
  }

  async drop(): Promise<void> {
    const memory = this.current
    this.current = undefined
    await memory?.live.close().catch(() => {}) // what failed before is what matters
  }

  /** Lets go of a memory that has become too large: the next opening holds of the keyed state only what it needs. */
  async dropIfTooLarge(): Promise<boolean> {
    const { ports, settings } = this.place
    const { live, logged } = this.current ?? {}
    if (live === undefined || logged === undefined || this.#staysWhole || live.state.bytes(logged) <= settings.stateMemoryBytes) return false
    if (keyedBytes(logged.base) <= settings.wholeStateBytes) return false
    ports.count('state-over-budget')
    await this.drop()
    return true
  }

  /** The subtask as of the newest version; undefined when nothing was ever committed. Throws LOG_CORRUPT, CHECKPOINT_CORRUPT, PLAN_INVALID. */
  async load(): Promise<Memory | undefined> {
    const { ports } = this.place
    if (this.isTooOld) {
      ports.count('cache-too-old')
      await this.drop()
    }
    if (this.current !== undefined) {
      const { items, control } = await ports.log.read(this.log, this.current.version)
      if (items.length > 0) await this.#take(this.current, items)
      if (this.current !== undefined) {
        this.current.control = controlOf(control)
        return this.current
      }
    }
    return this.#cold()
  }

  async #cold(): Promise<Memory | undefined> {
    const { ports, settings } = this.place
    const asOfMs = ports.clock.now()
    const { item, control } = await ports.log.head(this.log)
    if (item === undefined) return undefined
    ports.count('cold-start')
    const recovered = await this.#recover(item)
    const ageMs = asOfMs - recovered.head.base.atMs
    if (ageMs > settings.logRetentionMs) throw expiredLog(this.log, ageMs, settings.logRetentionMs)
    this.current = await this.#open(recovered, controlOf(control))
    if (this.current.live.state.needsWholeState) {
      this.#wholeState = true
      await this.drop()
      this.current = await this.#open(await this.#recover(item), controlOf(control))
    }
    const { live, logged } = this.current
    // Segments of one process have no blocks: they are read whole until they have been merged.
    this.#staysWhole = this.#wholeState || (live.state.holdsWholeState && keyedBytes(logged.base) > settings.wholeStateBytes)
    return this.current
  }

  #recover(item: LogItem): Promise<RecoveredState> {
    const { ports, settings } = this.place
    return recover(ports, this.log, item, this.#wholeState ? { ...settings, wholeStateBytes: Number.POSITIVE_INFINITY } : settings)
  }

  /** Others have committed: their changes go into the memory, if they are changes of what it holds. */
  async #take(memory: Memory, missed: readonly LogItem[]): Promise<void> {
    const { ports } = this.place
    const { live, version, control, operatorStates, operatorChanges, logged } = memory
    this.current = undefined
    const commits = missedCommits(this.log, missed, version)
    // Where only a part of the keys is in memory, changes of others have no place in it.
    if (commits === undefined || !live.state.holdsWholeState) {
      await live.close()
      return
    }
    ports.count('warm-catch-up')
    const held = { backends: live.backends, logged, operatorStates, operatorChanges, stash: live.input?.allStashed ?? [] }
    const recovered = await catchUp(ports, this.log, commits, held)
    await live.close()
    this.current = await this.#open(recovered, control, live.options.time)
  }

  async #open(recovered: RecoveredState, control: SubtaskControl, known?: BatchProcessingTime): Promise<Memory> {
    const { deployment, ports } = this.place
    const { head, version, operatorStates, logged } = recovered
    if (head.plan !== deployment.plan && head.life !== 'retired') throw otherPlan(this.log, head.plan, deployment)
    const live = await openStage(this.place, recovered, known)
    live.failures.skips = this.skips()
    return { live, version, head, control, sent: false, openedAtMs: ports.clock.now(), operatorStates, operatorChanges: [], logged }
  }
}

function controlOf(item: ControlItem | undefined): SubtaskControl {
  return item === undefined ? NO_CONTROL : (unpack(item.payload) as SubtaskControl)
}
