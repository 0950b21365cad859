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
  #soon: (() => void)[] = []

  constructor(
    readonly clock: Clock,
    /** There is something for the next turn: the thread must not sleep. */
    readonly wake: () => void = () => {},
  ) {}

  soon(callback: () => void): void {
    this.#soon.push(callback)
    if (this.#soon.length === 1) this.wake()
  }

  /** Whether the next turn has callbacks to run, whatever the time. */
  get hasSoon(): boolean {
    return this.#soon.length > 0
  }

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

  /** Runs what was to run soon, fires what is due; returns whether there was anything. Callbacks scheduled meanwhile for a past time fire too. */
  fireDue(): boolean {
    let fired = this.runSoon()
    while (this.nextTime <= this.clock.now()) {
      const due = this.#scheduled.shift() as Scheduled
      fired = true
      due.callback(due.time)
    }
    return fired
  }

  /** The first half of `fireDue`. What asks to run soon meanwhile waits for the next turn. */
  runSoon(): boolean {
    if (this.#soon.length === 0) return false
    const callbacks = this.#soon
    this.#soon = []
    for (const callback of callbacks) callback()
    return true
  }
}
