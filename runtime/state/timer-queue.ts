import { ChangeList, CLEAN, type Listed } from './change-list.js'
import type { InternalKey } from './keys.js'
import type { Namespace, Tombstone } from './state-table.js'
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

/**
 * Timers of one operator and one time domain, bucketed by time: a heap of the distinct times, and for each the timers by
 * key. Registering the same (time, key, namespace) twice is one timer; timers fire in order of time, within one time key by
 * key. Changes are tracked as in StateTable.
 */
export class TimerQueue {
  size = 0
  tracking = false
  readonly #buckets = new Map<number, Bucket>()
  #times: number[] = []
  /** The time whose timers fire at this moment; NaN when none do. */
  #firing = Number.NaN
  #lastTime = Number.NaN
  #lastBucket: Bucket | undefined
  readonly #changes = new ChangeList<Timer>()

  /** The earliest time with a timer, or Infinity with `size` 0. A time whose timers were all deleted may still be named. */
  get nextTime(): number {
    return this.#times.length === 0 ? Number.POSITIVE_INFINITY : this.#times[0]
  }

  register(time: number, key: InternalKey, namespace: Namespace): boolean {
    const bucket = this.#bucket(time)
    const head = bucket.heads.get(key)
    if (head === undefined) {
      this.#add(bucket, null, new Timer(time, key, namespace))
      return true
    }
    let last = head
    for (let timer: Timer | null = head; timer !== null; timer = timer.next) {
      if (timer.live && timer.namespace === namespace) return false
      if (timer.live && timer.namespace !== null && namespace !== null && timer.namespace.id === namespace.id) return false
      last = timer
    }
    this.#add(bucket, last, new Timer(time, key, namespace))
    return true
  }

  #add(bucket: Bucket, after: Timer | null, timer: Timer): void {
    if (after === null) bucket.heads.set(timer.key, timer)
    else after.next = timer
    bucket.live++
    this.size++
    if (this.tracking) this.#changes.add(timer)
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
      if (this.#times.length > 2 * this.size + 1024) this.#dropEmptyTimes()
      return true
    }
    return false
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

  /** Fires every timer up to and including `to`, also those registered meanwhile, always the earliest next. */
  advance(to: number, fire: (timer: Timer) => void): void {
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
      this.#buckets.delete(time)
      if (this.#lastTime === time) this.#lastBucket = undefined
      removeTime(this.#times, time)
    }
    this.#firing = Number.NaN
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
