import type { ProcessingTimeService } from '../operators/stream-operator.js'
import type { Clock } from '../ports/index.js'

interface Scheduled {
  readonly time: number
  readonly order: number
  readonly callback: (time: number) => void
  cancelled: boolean
}

/** Processing-time callbacks of one subtask; the thread's loop fires them. Few at a time, so a sorted array does. */
export class SubtaskProcessingTime implements ProcessingTimeService {
  readonly #scheduled: Scheduled[] = []
  #order = 0

  constructor(readonly clock: Clock) {}

  schedule(time: number, callback: (time: number) => void): () => void {
    const added: Scheduled = { time, order: this.#order++, callback, cancelled: false }
    let at = this.#scheduled.length
    while (at > 0 && this.#scheduled[at - 1].time > time) at--
    this.#scheduled.splice(at, 0, added)
    return () => {
      added.cancelled = true
    }
  }

  /** When the next callback is due; Infinity when none is. */
  get nextTime(): number {
    while (this.#scheduled.length > 0 && this.#scheduled[0].cancelled) this.#scheduled.shift()
    return this.#scheduled.length === 0 ? Number.POSITIVE_INFINITY : this.#scheduled[0].time
  }

  /** Fires what is due; returns whether anything was. Callbacks scheduled meanwhile for a past time fire too. */
  fireDue(): boolean {
    let fired = false
    while (this.nextTime <= this.clock.now()) {
      const due = this.#scheduled.shift() as Scheduled
      fired = true
      due.callback(due.time)
    }
    return fired
  }
}
