import { ChangeList, CLEAN, type Listed } from './change-list.js'
import type { Beyond } from './due-keys.js'
import type { InternalKey } from './keys.js'
import type { Namespace, Tombstone } from './state-table.js'
import { SweepBudget } from './sweep-budget.js'
import { pushTime, removeTime } from './time-heap.js'

/** One registered timer: its key, namespace (null, or the window it belongs to) and time. */
export class Timer implements Listed {
  next: Timer | null = null
  /** Still to fire. */
  live = true
  place = CLEAN
  persisted = false

  constructor(
    readonly time: number,
    readonly key: InternalKey,
    readonly namespace: Namespace,
  ) {}
}

export interface TimerTombstone extends Tombstone {
  readonly time: number
}

class Bucket {
  readonly heads = new Map<InternalKey, Timer>()
  live = 0
}

/** Where a sweep stopped within the timers of one time, so that the order is that of a sweep that did not. */
interface Stopped {
  readonly bucket: Bucket
  readonly heads: MapIterator<Timer>
  readonly timer: Timer
}

/**
 * Timers of one operator and one time domain, bucketed by time: a heap of the distinct times, and for each the timers by
 * key. Registering the same (time, key, namespace) twice is one timer; timers fire in order of time, within one time key by
 * key. Changes are tracked as in StateTable.
 */
export class TimerQueue {
  size = 0
  tracking = false
  /** Timers that are not in memory. */
  beyond: Beyond | undefined
  readonly #buckets = new Map<number, Bucket>()
  #times: number[] = []
  /** The time whose timers fire at this moment; NaN when none do. */
  #firing = Number.NaN
  #lastTime = Number.NaN
  #lastBucket: Bucket | undefined
  #stopped: Stopped | undefined
  readonly #changes = new ChangeList<Timer>()

  constructor(readonly budget = new SweepBudget()) {}

  /** The earliest time with a timer, or Infinity with `size` 0. */
  get nextTime(): number {
    return this.#times.length === 0 ? Number.POSITIVE_INFINITY : this.#times[0]
  }

  register(time: number, key: InternalKey, namespace: Namespace): boolean {
    return this.#register(time, key, namespace) !== undefined
  }

  /** Whether something changed since the last snapshot. */
  get changed(): boolean {
    return !this.#changes.isEmpty
  }

  /** Takes over a timer from the log, where it is no change. */
  registerWritten(time: number, key: InternalKey, namespace: Namespace): void {
    const timer = this.#register(time, key, namespace)
    if (timer !== undefined) this.#changes.settle(timer)
  }

  /** Takes over from the log that a timer is gone. */
  deleteWritten(time: number, key: InternalKey, namespace: Namespace): void {
    const { tracking } = this
    this.tracking = false
    this.delete(time, key, namespace)
    this.tracking = tracking
  }

  #register(time: number, key: InternalKey, namespace: Namespace): Timer | undefined {
    const bucket = this.#bucket(time)
    const head = bucket.heads.get(key)
    if (head === undefined) {
      return this.#add(bucket, null, new Timer(time, key, namespace))
    }
    let last = head
    for (let timer: Timer | null = head; timer !== null; timer = timer.next) {
      if (timer.live && timer.namespace === namespace) return undefined
      if (timer.live && timer.namespace !== null && namespace !== null && timer.namespace.id === namespace.id) return undefined
      last = timer
    }
    return this.#add(bucket, last, new Timer(time, key, namespace))
  }

  #add(bucket: Bucket, after: Timer | null, timer: Timer): Timer {
    if (after === null) bucket.heads.set(timer.key, timer)
    else after.next = timer
    bucket.live++
    this.size++
    if (this.tracking) this.#changes.add(timer)
    return timer
  }

  #bucket(time: number): Bucket {
    if (time === this.#lastTime && this.#lastBucket !== undefined) return this.#lastBucket
    let bucket = this.#buckets.get(time)
    if (bucket === undefined) {
      bucket = new Bucket()
      this.#buckets.set(time, bucket)
      pushTime(this.#times, time)
    }
    this.#lastTime = time
    this.#lastBucket = bucket
    return bucket
  }

  delete(time: number, key: InternalKey, namespace: Namespace): boolean {
    const bucket = this.#buckets.get(time)
    for (let timer = bucket?.heads.get(key) ?? null; timer !== null; timer = timer.next) {
      if (!timer.live || (timer.namespace !== namespace && timer.namespace?.id !== namespace?.id)) continue
      this.#retire(bucket as Bucket, timer)
      unlink((bucket as Bucket).heads, timer)
      if (time === this.#times[0]) this.#dropEmptyFront()
      if (this.#times.length > 2 * this.size + 1024) this.#dropEmptyTimes()
      return true
    }
    return false
  }

  /** Whoever asks for the next time would be woken up for nothing. */
  #dropEmptyFront(): void {
    for (let [time] = this.#times; time !== undefined && time !== this.#firing && this.#buckets.get(time)?.live === 0; [time] = this.#times)
      this.#drop(time)
  }

  /** Timers that are moved on and on (timeouts) leave a time without timers each; without this they would stay until it comes. */
  #dropEmptyTimes(): void {
    for (const [time, bucket] of this.#buckets) if (bucket.live === 0 && time !== this.#firing) this.#buckets.delete(time)
    // Ascending order is a heap.
    this.#times = [...this.#buckets.keys()].sort((a, b) => a - b)
    this.#lastBucket = undefined
  }

  #retire(bucket: Bucket, timer: Timer): void {
    timer.live = false
    bucket.live--
    this.size--
    this.#changes.remove(timer, this.tracking)
  }

  /**
   * Fires every timer up to and including `to`, also those registered meanwhile, always the earliest next. False when it stopped before
   * because the budget was used up, or because timers are not in memory; a further call goes on.
   */
  advance(to: number, fire: (timer: Timer) => void): boolean {
    const { budget, beyond } = this
    if (budget.suspended) return true
    if (beyond?.mayHave(to) !== true) return this.#advance(budget, to, fire)
    this.#advance(budget, Math.min(to, beyond.loadedTo), fire)
    return false
  }

  #advance(budget: SweepBudget, to: number, fire: (timer: Timer) => void): boolean {
    if (budget.left !== Number.POSITIVE_INFINITY || this.#stopped !== undefined) return this.#advanceWithin(budget, to, fire)
    sweep: while (this.#times.length > 0 && this.#times[0] <= to) {
      const time = this.#times[0]
      const bucket = this.#buckets.get(time) as Bucket
      this.#firing = time
      while (bucket.live > 0) {
        for (const head of bucket.heads.values()) {
          for (let timer: Timer | null = head; timer !== null; timer = timer.next) {
            if (!timer.live) continue
            this.#retire(bucket, timer)
            fire(timer)
            if (this.#times[0] !== time) continue sweep
          }
        }
      }
      this.#drop(time)
    }
    this.#firing = Number.NaN
    return true
  }

  /** The same with a budget: by iterators that can be kept, which cost where most times have a single timer. */
  #advanceWithin(budget: SweepBudget, to: number, fire: (timer: Timer) => void): boolean {
    let stopped = this.#stopped
    this.#stopped = undefined
    sweep: while (this.#times.length > 0 && this.#times[0] <= to) {
      const time = this.#times[0]
      const bucket = this.#buckets.get(time) as Bucket
      this.#firing = time
      while (bucket.live > 0) {
        const goOn: Stopped | undefined = stopped?.bucket === bucket ? stopped : undefined
        stopped = undefined
        const heads = goOn === undefined ? bucket.heads.values() : goOn.heads
        let timer = goOn === undefined ? firstOf(heads) : goOn.timer
        for (; timer !== null; timer = timer.next ?? firstOf(heads)) {
          if (!timer.live) continue
          if (!budget.take()) {
            this.#stopped = { bucket, heads, timer }
            return false
          }
          this.#retire(bucket, timer)
          fire(timer)
          if (this.#times[0] !== time) continue sweep
        }
      }
      this.#drop(time)
    }
    this.#firing = Number.NaN
    return true
  }

  /** A time whose timers have all fired. */
  #drop(time: number): void {
    this.#buckets.delete(time)
    if (this.#lastTime === time) this.#lastBucket = undefined
    removeTime(this.#times, time)
  }

  *timers(): IterableIterator<Timer> {
    for (const bucket of this.#buckets.values()) {
      for (const head of bucket.heads.values()) {
        for (let timer: Timer | null = head; timer !== null; timer = timer.next) if (timer.live) yield timer
      }
    }
  }

  takeChanges(): { readonly rows: Timer[]; readonly tombstones: TimerTombstone[] } {
    return this.#changes.take()
  }

  takeAll(): Timer[] {
    this.#changes.take()
    const rows = [...this.timers()]
    if (this.tracking) for (const timer of rows) timer.persisted = true
    return rows
  }
}

/** The chain of the next key; null behind the last. */
function firstOf(heads: MapIterator<Timer>): Timer | null {
  const { done, value } = heads.next()
  return done === true ? null : value
}

/** So that a timer deleted and registered again and again does not leave a chain of dead ones. */
function unlink(heads: Map<InternalKey, Timer>, timer: Timer): void {
  const head = heads.get(timer.key) as Timer
  if (head === timer) {
    if (timer.next === null) heads.delete(timer.key)
    else heads.set(timer.key, timer.next)
    return
  }
  let previous = head
  while (previous.next !== timer) previous = previous.next as Timer
  previous.next = timer.next
}
