import type { ProcessingTimeService } from '../operators/stream-operator.js'
import type { Clock } from '../ports/index.js'

interface Waiting {
  readonly time: number
  callback: ((time: number) => void) | undefined
}

/**
 * Processing time of a subtask that lives in invocations: it stands still within a commit, at the later of the clock's time and that of the
 * commit before (clocks of two machines differ), and it calls back at the end of each batch whatever the time, so that periodic
 * watermarks follow the data. An operator that waits for a certain time looks at `clock.now()` itself. Only while asynchronous calls are
 * awaited does time go on within a commit.
 */
export class BatchProcessingTime implements ProcessingTimeService {
  readonly clock: Clock = { now: () => this.#now, monotonic: () => this.wall.monotonic() }
  #now = Number.NEGATIVE_INFINITY
  /** Time goes on from here while calls are awaited, by the clock that does not jump: the other may be behind the last commit's. */
  #entered = { now: Number.NEGATIVE_INFINITY, at: 0 }
  #waiting: Waiting[] = []
  #soon: (() => void)[] = []
  #wake: (() => void) | undefined

  constructor(readonly wall: Clock) {}

  /** A commit begins. */
  enter(lastNow: number): void {
    this.#now = Math.max(this.wall.now(), lastNow)
    this.#entered = { now: this.#now, at: this.wall.monotonic() }
  }

  /** Operators are opened as of a commit that was made at `lastNow`; those that were open before are forgotten. */
  beginAt(lastNow: number): void {
    this.#now = lastNow === Number.NEGATIVE_INFINITY ? this.wall.now() : lastNow
    this.#waiting = []
    this.#soon = []
  }

  schedule(time: number, callback: (time: number) => void): () => void {
    const entry: Waiting = { time, callback }
    this.#waiting.push(entry)
    return () => {
      entry.callback = undefined
    }
  }

  soon(callback: () => void): void {
    this.#soon.push(callback)
    this.#wake?.()
  }

  /** Calls back whoever was scheduled before; who schedules meanwhile waits for the next batch. */
  endOfBatch(): void {
    const due = this.#waiting
    this.#waiting = []
    for (const { callback } of due) callback?.(this.#now)
  }

  /** Waits until something was to run soon, or a time that somebody waits for has come, and runs it. */
  async next(pause: (ms: number) => Promise<void>): Promise<void> {
    if (this.#soon.length === 0) await this.#somethingToRun(pause)
    const { now, at } = this.#entered
    this.#now = Math.max(this.#now, this.wall.now(), now + this.wall.monotonic() - at)
    const callbacks = this.#soon
    this.#soon = []
    for (const callback of callbacks) callback()
    for (const entry of this.#waiting.filter(({ time, callback }) => callback !== undefined && time <= this.#now)) {
      this.#waiting.splice(this.#waiting.indexOf(entry), 1)
      entry.callback?.(this.#now)
    }
  }

  async #somethingToRun(pause: (ms: number) => Promise<void>): Promise<void> {
    const times = this.#waiting.filter(({ callback, time }) => callback !== undefined && time > this.#now).map(({ time }) => time)
    const soon = new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    const next = Math.min(...times)
    await (next === Number.POSITIVE_INFINITY ? soon : Promise.race([soon, pause(next - this.#now)]))
    this.#wake = undefined
  }
}
