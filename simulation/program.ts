import { MillraceError } from '../runtime/core/index.js'
import type { Clock } from '../runtime/ports/index.js'
import type { Fault } from '../runtime/testing/faulty-ports.js'
import { FaultyPorts } from '../runtime/testing/faulty-ports.js'
import type { Chance } from './chance.js'
import type { FaultKind, Faults } from './faults.js'
import type { Scheduler } from './scheduler.js'
import type { Trace } from './trace.js'

/** What all programs of a world share. */
export interface Machine {
  readonly scheduler: Scheduler
  readonly trace: Trace
  readonly faults: Faults
  /** For how long calls take. */
  readonly chance: Chance
  readonly longestStallMs: number
  /** For so long a stream may not be read. */
  readonly longestPauseMs: number
  /** Until then every call is refused. */
  throttledUntilMs: number
  /** Log items whose time had come by then are gone. */
  expiredUntilMs: number
  nonces: number
}

/** Clocks of instances differ from the time by at most so much. */
export const MOST_CLOCK_OFF_MS = 300_000

const ANYWHERE: readonly FaultKind[] = ['crash-before', 'crash-after', 'throw-before', 'throw-after', 'stall', 'throttled']
const AT_CALL: Readonly<Record<string, readonly FaultKind[]>> = {
  append: [...ANYWHERE, 'won-as-lost'],
  putControl: [...ANYWHERE, 'won-as-lost'],
  read: [...ANYWHERE, 'torn-read', 'log-expired'],
  head: [...ANYWHERE, 'torn-read', 'log-expired'],
  get: [...ANYWHERE, 'blob-missing'],
  send: [...ANYWHERE, 'entries-refused', 'entry-late', 'entry-doubled', 'entries-reordered'],
  poke: [...ANYWHERE, 'poke-lost', 'poke-doubled', 'poke-late', 'poke-early'],
}

/** What a program that has ended waits for: a new one each time, since a promise keeps all who wait for it, and with them whole worlds. */
function never(): Promise<never> {
  return new Promise(() => {})
}

/** Something that runs: an instance of a function, a step of the coordinator. Its calls take virtual time and may go wrong. */
export class Program {
  dead = false
  skewMs: number
  stallLeftMs = 0
  /** After so many calls it ends. */
  callsLeft = Number.POSITIVE_INFINITY
  /** A blob was not there when this program asked for it. */
  missedBlob = false
  onDeath: () => void = () => {}
  #driftMs = 0
  #fault: Fault | undefined
  /** The engine's wrapper: what it does with a call is decided by {@link call} just before. */
  readonly faulty: FaultyPorts

  constructor(
    readonly machine: Machine,
    readonly name: string,
  ) {
    const { faults, chance, scheduler } = machine
    this.skewMs = faults.draw(['clock-off']) === undefined ? 0 : chance.between(-MOST_CLOCK_OFF_MS, MOST_CLOCK_OFF_MS)
    this.faulty = new FaultyPorts({
      decide: () => {
        const fault = this.#fault
        this.#fault = undefined
        return fault
      },
      sleep: (ms) => scheduler.sleep(ms),
      later: (ms, effect) => void scheduler.after(ms, () => void effect().catch(() => {})),
    })
  }

  readonly clock: Clock = {
    now: () => {
      const { faults, chance, scheduler } = this.machine
      if (faults.draw(['clock-jump']) !== undefined) this.skewMs = chance.between(-MOST_CLOCK_OFF_MS, MOST_CLOCK_OFF_MS)
      return Math.floor(scheduler.now + this.skewMs)
    },
    // Work takes time too.
    monotonic: () => {
      this.#driftMs += this.machine.chance.below(4)
      return this.machine.scheduler.now + this.#driftMs
    },
  }

  /** Digits with an x between them: what an attempt takes over is known by the `a` and its number behind the nonce (adoptedName). */
  nonce(): string {
    return `${this.machine.nonces++}x${this.machine.chance.below(1_000_000)}`
  }

  pause(ms: number): Promise<void> {
    return this.dead ? never() : this.#wait(ms)
  }

  die(): void {
    if (this.dead) return
    this.dead = true
    this.onDeath()
  }

  /** A call of a port. `effect` is run when the call arrives; `otherwise` is the same in an unusual order: a read of several pages, entries shuffled. */
  call<T>(port: string, operation: string, key: string, size: number, effect: () => Promise<T>, otherwise?: () => Promise<T>): Promise<T> {
    if (this.dead) return never()
    const { faults, scheduler, trace } = this.machine
    if (this.callsLeft-- <= 0) {
      this.die()
      return never()
    }
    let kind = faults.draw(AT_CALL[operation] ?? ANYWHERE)
    if (kind === 'throttled') this.machine.throttledUntilMs = scheduler.now + this.machine.chance.between(100, 5_000)
    return new Promise((resolve, reject) => {
      scheduler.after(this.#latency(kind), () => {
        if (this.dead) return
        trace.add(scheduler.now, `${port}.${operation}`, size, () => `${this.name} ${key} (${size})${kind === undefined ? '' : ` ! ${kind}`}`)
        if (kind === undefined && scheduler.now < this.machine.throttledUntilMs && !faults.over) kind = 'throttled'
        this.#arrive(kind, size, effect, otherwise).then(resolve, reject)
      })
    })
  }

  #latency(kind: FaultKind | undefined): number {
    const { chance } = this.machine
    const usual = chance.between(1, chance.below(20) === 0 ? 400 : 25)
    if (kind !== 'stall') return usual
    const most = Math.min(this.stallLeftMs, this.machine.longestStallMs)
    const long = Math.min(most, chance.pick([2_000, 20_000, 120_000, 900_000, 3_600_000, Number.POSITIVE_INFINITY]) * (0.5 + chance.next() / 2))
    this.stallLeftMs -= long
    return usual + Math.max(0, long)
  }

  #arrive<T>(kind: FaultKind | undefined, size: number, effect: () => Promise<T>, otherwise: (() => Promise<T>) | undefined): Promise<T> {
    const { chance } = this.machine
    switch (kind) {
      case 'crash-before':
        this.die()
        return never()
      case 'crash-after':
        // What it sets off is done in this very event; the program is told nothing.
        effect().catch(() => {})
        this.die()
        return never()
      case 'throttled':
        return this.#with({ kind: 'throttle' }, effect)
      case 'throw-before':
        return this.#with({ kind: 'throw-before' }, effect)
      case 'throw-after':
        return this.#with({ kind: 'throw-after' }, effect)
      case 'won-as-lost':
        return effect().then((outcome) => (outcome === 'won' ? ('lost' as T) : outcome))
      case 'torn-read':
      case 'entries-reordered':
      case 'poke-early':
        return (otherwise as () => Promise<T>)()
      case 'log-expired':
        this.machine.expiredUntilMs = this.machine.scheduler.now
        return effect()
      case 'blob-missing':
        this.missedBlob = true
        return this.#with({ kind: 'missing' }, effect)
      case 'entries-refused':
        return this.#with(
          { kind: 'entries', faults: Array.from({ length: size }, () => chance.pick(['put', 'refuse', 'refuse-and-put'] as const)) },
          effect,
        )
      case 'entry-late':
        return this.#with(
          { kind: 'entries', faults: Array.from({ length: size }, () => (chance.happens(0.5) ? 'put' : { lateMs: this.#late() })) },
          effect,
        )
      case 'entry-doubled':
        return this.#with({ kind: 'entries', faults: Array.from({ length: size }, () => (chance.happens(0.5) ? 'put' : 'double')) }, effect)
      case 'poke-lost':
        return this.#with({ kind: 'lose' }, effect)
      case 'poke-doubled':
        return this.#with({ kind: 'double' }, effect)
      case 'poke-late':
        return this.#with({ kind: 'late', ms: this.#late() }, effect)
      default:
        return effect()
    }
  }

  #late(): number {
    const { chance } = this.machine
    return chance.pick([500, 5_000, 60_000, 600_000]) * (0.5 + chance.next())
  }

  #with<T>(fault: Fault, effect: () => Promise<T>): Promise<T> {
    this.#fault = fault
    return effect()
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.machine.scheduler.after(ms, () => {
        if (!this.dead) resolve()
      })
    })
  }
}

/** Whether an error says no more than that a port failed or the invocation lost a race. */
export function isExpected(error: unknown): boolean {
  return error instanceof MillraceError && (error.code === 'AWS_CALL' || error.code === 'BATCH_REFUSED')
}
