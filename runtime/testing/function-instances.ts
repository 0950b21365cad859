import { MillraceError } from '../core/index.js'
import type { MappedBatch, MappedFunction, MappingWorld } from './event-source-mapping.js'

/** A warm instance of a function that takes batches; what it keeps in memory lives as long as it. */
export interface FunctionInstance {
  invoke(batch: MappedBatch): ReturnType<MappedFunction>
}

/** Options of {@link FunctionInstances}. */
export interface FunctionInstancesOptions {
  /** Probability that an idle instance is used, any one of them, and not a new one. */
  readonly reuse: number
  /** More idle ones are not kept. */
  readonly maxIdle: number
  /** Probability that an instance that becomes idle is destroyed. */
  readonly retire: number
}

/** What has happened to instances. */
export interface FunctionInstancesStats {
  readonly created: number
  readonly reused: number
  /** Destroyed while idle: by chance, as one too many, or by {@link FunctionInstances.retireIdle}. */
  readonly retired: number
  readonly crashed: number
}

/**
 * The instances of one version of a function, as Lambda keeps them: each has one invocation at a time, an invocation gets any that is free or a
 * new one, whatever it is about, and none is promised to live. An invocation that nobody waits for any more (a zombie) keeps its instance
 * until it ends. An invocation that rejects leaves its instance in use, as a handler that throws does; one that ends it is a {@link crash}.
 *
 * @example
 * const instances = new FunctionInstances(() => new Handler(), world, { reuse: 0.9, maxIdle: 4, retire: 0.05 })
 * const mapping = new EventSourceMapping(stream, (batch) => instances.run((handler) => handler.invoke(batch)), world, {})
 */
export class FunctionInstances<Instance extends object> {
  readonly #create: () => Instance
  readonly #world: Pick<MappingWorld, 'random'>
  readonly #options: FunctionInstancesOptions
  /** In the order in which they became idle. */
  #idle: Instance[] = []
  readonly #busy = new Set<Instance>()
  readonly #stats = { created: 0, reused: 0, retired: 0, crashed: 0 }

  /** @throws MillraceError OPTION_INVALID when a probability is not from 0 to 1 */
  constructor(create: () => Instance, world: Pick<MappingWorld, 'random'>, options: FunctionInstancesOptions) {
    for (const name of ['reuse', 'retire'] as const) {
      if (!(options[name] >= 0 && options[name] <= 1)) {
        throw new MillraceError('OPTION_INVALID', { what: `${name} is not a probability: ${options[name]}`, todo: 'Give a number from 0 to 1.' })
      }
    }
    this.#create = create
    this.#world = world
    this.#options = options
  }

  /** Runs `work` on an instance that is not busy, which is busy until the promise settles: on `preferred` if that is idle. */
  async run<T>(work: (instance: Instance) => Promise<T>, preferred?: Instance): Promise<T> {
    const instance = (preferred && this.#takeThis(preferred)) ?? this.#take()
    this.#busy.add(instance)
    try {
      return await work(instance)
    } finally {
      // Not there any more: it crashed.
      if (this.#busy.delete(instance)) this.#release(instance)
    }
  }

  /** The instance never comes back. Its invocation, if it has one, may still settle; nothing depends on it. */
  crash(instance: Instance): void {
    if (this.#busy.delete(instance)) this.#stats.crashed++
    else if (this.#idle.includes(instance)) {
      this.#idle = this.#idle.filter((other) => other !== instance)
      this.#stats.crashed++
    }
  }

  /** Destroys all idle instances; those that are busy stay. */
  retireIdle(): void {
    this.#stats.retired += this.#idle.length
    this.#idle = []
  }

  /** Instances with an invocation, zombies among them. */
  get busy(): number {
    return this.#busy.size
  }

  get idle(): number {
    return this.#idle.length
  }

  get stats(): FunctionInstancesStats {
    return { ...this.#stats }
  }

  #take(): Instance {
    if (this.#idle.length > 0 && this.#world.random() < this.#options.reuse) {
      this.#stats.reused++
      return this.#takeAny()
    }
    this.#stats.created++
    return this.#create()
  }

  #takeThis(instance: Instance): Instance | undefined {
    const at = this.#idle.indexOf(instance)
    if (at < 0) return undefined
    this.#stats.reused++
    return this.#idle.splice(at, 1)[0]
  }

  #takeAny(): Instance {
    return this.#idle.splice(Math.floor(this.#world.random() * this.#idle.length), 1)[0]
  }

  #release(instance: Instance): void {
    if (this.#options.retire > 0 && this.#world.random() < this.#options.retire) {
      this.#stats.retired++
      return
    }
    this.#idle.push(instance)
    if (this.#idle.length > this.#options.maxIdle) {
      this.#takeAny()
      this.#stats.retired++
    }
  }
}
