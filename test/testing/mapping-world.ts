import type { MappingWorld } from '../../runtime/testing/index.js'

interface Sleeper {
  readonly atMs: number
  readonly resolve: () => void
}

/** Virtual time: sleepers wake one at a time, each when all that the one before has set off has settled. */
export class ManualWorld implements MappingWorld {
  #now = 0
  #state: number
  readonly #sleepers: Sleeper[] = []
  /** What `random` gives next; then a generator's numbers. */
  readonly script: number[] = []

  constructor(seed = 1) {
    this.#state = seed
  }

  now(): number {
    return this.#now
  }

  random(): number {
    const scripted = this.script.shift()
    if (scripted !== undefined) return scripted
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#sleepers.push({ atMs: this.#now + ms, resolve }))
  }

  /** How many sleep. */
  get sleeping(): number {
    return this.#sleepers.length
  }

  /** Until all that goes on without time passing has. */
  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  /** Wakes whoever sleeps until then. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    await this.settle()
    for (let next = this.#earliest(end); next !== undefined; next = this.#earliest(end)) await this.#wakeUp(next)
    this.#now = end
  }

  /** Lets time pass until `done`. Throws when nobody sleeps or it takes more than `most` steps. */
  async passUntil(done: () => boolean, most = 20_000): Promise<void> {
    await this.settle()
    for (let steps = 0; !done(); steps++) {
      const next = this.#earliest(Number.POSITIVE_INFINITY)
      if (next === undefined || steps === most) throw new Error(next === undefined ? 'nothing goes on' : 'it goes on for ever')
      await this.#wakeUp(next)
    }
  }

  #wakeUp(sleeper: Sleeper): Promise<void> {
    this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1)
    this.#now = Math.max(this.#now, sleeper.atMs)
    sleeper.resolve()
    return this.settle()
  }

  #earliest(endMs: number): Sleeper | undefined {
    let earliest: Sleeper | undefined
    for (const sleeper of this.#sleepers) if (sleeper.atMs <= endMs && (earliest === undefined || sleeper.atMs < earliest.atMs)) earliest = sleeper
    return earliest
  }
}
