import { MillraceError } from '../core/index.js'
import type { ProcessingTimeService } from '../operators/stream-operator.js'
import type { Clock } from '../ports/index.js'

/**
 * Processing time of a subtask that lives in invocations: it stands still within a commit, at the later of the clock's time and that of the
 * commit before (clocks of two machines differ), and it calls back at the end of each batch whatever the time, so that periodic
 * watermarks follow the data. An operator that waits for a certain time looks at `clock.now()` itself.
 */
export class BatchProcessingTime implements ProcessingTimeService {
  readonly clock: Clock = { now: () => this.#now, monotonic: () => this.wall.monotonic() }
  #now = Number.NEGATIVE_INFINITY
  #waiting: { callback: ((time: number) => void) | undefined }[] = []

  constructor(readonly wall: Clock) {}

  /** A commit begins. */
  enter(lastNow: number): void {
    this.#now = Math.max(this.wall.now(), lastNow)
  }

  schedule(_time: number, callback: (time: number) => void): () => void {
    const entry: { callback: ((time: number) => void) | undefined } = { callback }
    this.#waiting.push(entry)
    return () => {
      entry.callback = undefined
    }
  }

  /** Throws PLAN_INVALID: between two invocations nothing runs that could have a result. */
  soon(): never {
    throw new MillraceError('PLAN_INVALID', {
      what: 'stages on AWS cannot run asynchronous operators yet',
      todo: 'Call the outside system before the stream or behind it, or run the job on the embedded cluster.',
    })
  }

  /** Calls back whoever was scheduled before; who schedules meanwhile waits for the next batch. */
  endOfBatch(): void {
    const due = this.#waiting
    this.#waiting = []
    for (const { callback } of due) callback?.(this.#now)
  }
}
