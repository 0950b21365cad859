/** Who can tell the time and let some pass. */
export interface AlarmWorld {
  /** Epoch ms. */
  now(): number
  sleep(ms: number): Promise<void>
}

interface Alarm {
  readonly atMs: number
  readonly ring: () => void
}

/**
 * Alarms that can be stopped, over a sleep that cannot. A new sleep begins only for an alarm that is earlier than all sleeps under way, so that
 * a thousand time-outs that were set and stopped leave one sleep behind, not a thousand.
 */
export class Alarms {
  readonly #world: AlarmWorld
  readonly #alarms = new Set<Alarm>()
  /** When the sleeps under way end; the earliest is the last. */
  readonly #sleeps: number[] = []

  constructor(world: AlarmWorld) {
    this.#world = world
  }

  /** Calls `ring` once, `ms` from now. Infinity: never. Returns what stops it. */
  set(ms: number, ring: () => void): () => void {
    if (ms === Number.POSITIVE_INFINITY) return () => {}
    const alarm = { atMs: this.#world.now() + ms, ring }
    this.#alarms.add(alarm)
    this.#sleepUntil(alarm.atMs)
    return () => {
      this.#alarms.delete(alarm)
    }
  }

  #sleepUntil(atMs: number): void {
    const earliest = this.#sleeps.at(-1)
    if (earliest !== undefined && earliest <= atMs) return
    this.#sleeps.push(atMs)
    void this.#world.sleep(Math.max(0, atMs - this.#world.now())).then(() => {
      this.#sleeps.splice(this.#sleeps.lastIndexOf(atMs), 1)
      this.#ring()
    })
  }

  #ring(): void {
    const now = this.#world.now()
    const due = [...this.#alarms].filter(({ atMs }) => atMs <= now).sort((a, b) => a.atMs - b.atMs)
    // One that rings may stop another.
    for (const alarm of due) if (this.#alarms.delete(alarm)) alarm.ring()
    let next = Number.POSITIVE_INFINITY
    for (const { atMs } of this.#alarms) next = Math.min(next, atMs)
    if (next !== Number.POSITIVE_INFINITY) this.#sleepUntil(next)
  }
}
