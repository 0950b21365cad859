import type { StageEvent } from '../runtime/task/stage-ports.js'
import { type WriteLine, writeLine } from './function-log.js'
import { JOB_METRICS, METRICS_NAMESPACE, STAGE_METRICS } from './metric-names.js'

/** What a handler knows and the engine does not: a batch or a poke that will come again because something failed. */
export type HandlerEvent = 'batch-failed' | 'batch-refused' | 'poke-failed'

type Event = StageEvent | HandlerEvent

/** What is too common to be said of an invocation by itself. */
const ORDINARY: ReadonlySet<Event> = new Set<Event>(['cold-start', 'warm-catch-up', 'commit', 'part-in-blob', 'outbox-known-sent'])
/** So often it is said all the same. */
const ORDINARY_INTERVAL_MS = 60_000

/**
 * Counts what happens and writes it as one line of JSON, in CloudWatch's embedded metric format: at the end of an invocation that was not the
 * plain case, else once a minute, for all invocations since.
 */
export class StageMetrics {
  #counts: Partial<Record<Event, number>> = {}
  #writtenAt: number

  /** `labels`: job, and stage unless it counts for the job as a whole. */
  constructor(
    readonly labels: { readonly job?: string; readonly stage?: string },
    readonly write: WriteLine = writeLine,
    readonly now: () => number = Date.now,
  ) {
    this.#writtenAt = now()
  }

  count(event: Event, times = 1): void {
    this.#counts[event] = (this.#counts[event] ?? 0) + times
  }

  flush(): void {
    const counted = Object.keys(this.#counts) as Event[]
    const now = this.now()
    if (counted.length === 0) return
    if (counted.every((event) => ORDINARY.has(event)) && now - this.#writtenAt < ORDINARY_INTERVAL_MS) return
    this.write(JSON.stringify(this.#line(counted, now)))
    this.#counts = {}
    this.#writtenAt = now
  }

  #line(counted: readonly Event[], now: number): object {
    const { job, stage } = this.labels
    const among = (names: readonly Event[]) => counted.filter((event) => names.includes(event)).map((Name) => ({ Name, Unit: 'Count' }))
    const own = stage === undefined ? ['Job'] : ['Job', 'Stage']
    const directives = [
      { Namespace: METRICS_NAMESPACE, Dimensions: [own], Metrics: among([...STAGE_METRICS, ...JOB_METRICS]) },
      { Namespace: METRICS_NAMESPACE, Dimensions: [['Job']], Metrics: stage === undefined ? [] : among(JOB_METRICS) },
    ].filter(({ Metrics }) => Metrics.length > 0)
    return {
      level: 'INFO',
      Job: job,
      Stage: stage,
      ...this.#counts,
      ...(directives.length === 0 ? {} : { _aws: { Timestamp: now, CloudWatchMetrics: directives } }),
    }
  }
}
