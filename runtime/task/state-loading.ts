import type { InternalKey } from '../state/index.js'
import { keyedBytes } from './base-state.js'
import type { BatchProcessingTime } from './batch-processing-time.js'
import type { HeadInput } from './head-input.js'
import type { LoggedState } from './logged-state.js'
import type { ChainedOperator } from './operator-chain.js'
import type { StageEvent } from './stage-ports.js'

const NO_KEYS: ReadonlySet<InternalKey> = new Set()

/** Brings keyed state of a subtask into memory where it is not all there, when the input or the timers of its chain wait for it (decision 21). */
export class StateLoading {
  /** `first`: of the chain. No other can be keyed: the records of one that is come from all subtasks of the stage before. */
  constructor(
    readonly first: ChainedOperator,
    readonly head: HeadInput,
    readonly time: BatchProcessingTime,
    readonly count: (event: StageEvent) => void,
  ) {}

  /** Loads what the next batch needs, or rows that a pending sweep waits for, as many as may fire now. False when nothing waits for anything. */
  async loadWanted(): Promise<boolean> {
    const { backend } = this.first.keyed ?? {}
    const onDemand = backend?.onDemand
    if (backend === undefined || onDemand === undefined) return false
    const { eventTimePending, eventTimeTo, processingTimePending, left } = backend.sweeps
    const { missing } = this.head
    let loaded = missing.size > 0
    if (loaded) {
      await onDemand.load(missing)
      this.head.missing = NO_KEYS
    } else if (left > 0) {
      if (eventTimePending) {
        loaded = (await onDemand.loadDue(onDemand.windows, eventTimeTo)) || (await onDemand.loadDue(onDemand.eventTimers, eventTimeTo))
      }
      if (!loaded && processingTimePending) loaded = await onDemand.loadDue(onDemand.processingTimers, this.time.clock.now())
    }
    if (loaded) this.count('keys-loaded')
    return loaded
  }

  /** Before the end of a batch: timers of the clock that are due. */
  async loadDueTimers(): Promise<void> {
    const { onDemand, sweeps } = this.first.keyed?.backend ?? {}
    if (onDemand !== undefined && (sweeps?.left ?? 0) > 0) await onDemand.loadDue(onDemand.processingTimers, this.time.clock.now())
  }

  /** At the end of a batch: finds out when the next timer of the clock that is not in memory is due. */
  async lookAhead(): Promise<void> {
    await this.first.keyed?.backend.onDemand?.processingTimers.look()
  }

  /** The operator cannot do with a part of its keys. */
  get needsWholeState(): boolean {
    const { operator, keyed } = this.first
    const onDemand = keyed?.backend.onDemand
    return onDemand !== undefined && (operator.needsWholeState || onDemand.needsAll)
  }

  get holdsWholeState(): boolean {
    return this.first.keyed?.backend.holdsWholeState !== false
  }

  /** Bytes that keyed state takes in memory, about; of values that were overwritten there are no more than the log still has. */
  bytes({ base, tailBytes }: LoggedState): number {
    return this.first.keyed?.backend.memoryBytes(keyedBytes(base) + tailBytes) ?? 0
  }
}
