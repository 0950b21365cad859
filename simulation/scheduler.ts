/** Virtual time: whatever happens is an event, and events happen one at a time, each when all that the one before has set off has settled. */
export class Scheduler {
  /** Epoch ms. */
  now: number
  /** Events so far. */
  count = 0
  #order = 0
  readonly #heap: ScheduledEvent[] = []

  constructor(startMs: number) {
    this.now = startMs
  }

  /** A time that has passed is now. */
  at(timeMs: number, action: () => void): ScheduledEvent {
    const event: ScheduledEvent = { timeMs: timeMs < this.now ? this.now : timeMs, order: this.#order++, action, cancelled: false }
    push(this.#heap, event)
    return event
  }

  after(delayMs: number, action: () => void): ScheduledEvent {
    return this.at(this.now + delayMs, action)
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve))
  }

  /** Runs events until `done` says so (asked between events) or there are none. Rejects with what an event throws. */
  run(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let finished = false
      // Node drains all microtasks between two immediates; many are set at once because each turn of its loop costs a system call.
      const step = (): void => {
        if (finished) return
        try {
          if (!done() && this.#next()) return
          finished = true
          resolve()
        } catch (error) {
          finished = true
          reject(error)
        }
      }
      const turn = (): void => {
        if (finished) return
        for (let i = 0; i < STEPS_A_TURN; i++) setImmediate(step)
        setImmediate(turn)
      }
      turn()
    })
  }

  #next(): boolean {
    for (;;) {
      const event = pop(this.#heap)
      if (event === undefined) return false
      if (event.cancelled) continue
      this.now = event.timeMs
      this.count++
      event.action()
      return true
    }
  }
}

export interface ScheduledEvent {
  readonly timeMs: number
  readonly order: number
  readonly action: () => void
  cancelled: boolean
}

const STEPS_A_TURN = 64

function before(a: ScheduledEvent, b: ScheduledEvent): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.order < b.order)
}

function push(heap: ScheduledEvent[], event: ScheduledEvent): void {
  let at = heap.length
  heap.push(event)
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!before(event, heap[parent])) break
    heap[at] = heap[parent]
    at = parent
  }
  heap[at] = event
}

function pop(heap: ScheduledEvent[]): ScheduledEvent | undefined {
  const top = heap[0]
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return top
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++
    if (!before(heap[child], last)) break
    heap[at] = heap[child]
    at = child
  }
  heap[at] = last
  return top
}
