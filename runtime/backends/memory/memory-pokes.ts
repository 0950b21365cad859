import type { Pokes, PokeTarget } from '../../ports/index.js'

export interface Poke {
  readonly target: PokeTarget
  /** Epoch ms. */
  readonly atMs: number
}

/** Pokes that wait until whoever drives the subtasks takes them. */
export class MemoryPokes implements Pokes {
  #waiting: Poke[] = []

  async poke(target: PokeTarget, atMs: number): Promise<void> {
    this.#waiting.push({ target: { ...target }, atMs })
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.length
  }

  /** When the next is due, epoch ms; Infinity when none waits. */
  get nextAtMs(): number {
    return this.#waiting.reduce((least, { atMs }) => Math.min(least, atMs), Number.POSITIVE_INFINITY)
  }

  /** Removes those that are due and gives them, the earliest first, those of one time as they were asked for. Without `now`: all. */
  take(now = Number.POSITIVE_INFINITY): Poke[] {
    const due = this.#waiting.filter(({ atMs }) => atMs <= now)
    if (due.length > 0) this.#waiting = this.#waiting.filter(({ atMs }) => atMs > now)
    return due.sort((a, b) => a.atMs - b.atMs)
  }
}
