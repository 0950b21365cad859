import { MAX_WATERMARK, type WatermarkGenerator, type WatermarkOutput } from '../../runtime/index.js'
import { JobDriver, type JobInput } from '../../runtime/testing/index.js'
import { Chance } from '../../simulation/chance.js'
import type { GeneratedJob } from '../../simulation/jobs/generated-job.js'
import type { JobFacts, OutputFact } from '../../simulation/jobs/index.js'
import { decodeItem, type Item, LAST_TIME_MS, NEARLY_LAST_TIME_MS } from '../../simulation/jobs/item.js'
import { strategyOf } from '../../simulation/jobs/timing.js'

/** Splits that a stream begins with; as many follow them when it is resharded. */
const SPLITS = 2

export interface InterleavedOptions {
  readonly seed: number
  readonly parallelism: number
  /** The parallelism to go on with from a snapshot somewhere on the way. */
  readonly rescaleTo?: number
}

/**
 * Runs a job by hand, on the embedded operators: splits take turns by chance, each with watermarks of its own as its strategy has them, now and
 * then idle where the strategy allows that; records wait in batches between subtasks, and streams are resharded on the way.
 */
export async function runInterleaved(job: GeneratedJob, options: InterleavedOptions): Promise<JobFacts> {
  return new InterleavedRun(job, options).run()
}

interface Split {
  readonly stream: string
  readonly index: number
  /** May go idle, and with it the watermark of the job runs away. */
  readonly mayIdle: boolean
  readonly hasWatermarks: boolean
  readonly records: Item[]
  generator: WatermarkGenerator<Item>
  watermark: number
  state: 'not begun' | 'open' | 'ended'
}

class InterleavedRun {
  readonly #random: Chance
  readonly #outputs = new Map<string, OutputFact[]>()
  #driver!: JobDriver
  #splits: Split[] = []

  constructor(
    readonly job: GeneratedJob,
    readonly options: InterleavedOptions,
  ) {
    this.#random = new Chance(options.seed, 'interleaved')
    for (const sink of job.sinks) this.#outputs.set(sink, [])
  }

  async run(): Promise<JobFacts> {
    const { job, options } = this
    await this.#start(options.parallelism)
    this.#splits = job.streams.flatMap(({ name }) => Array.from({ length: 2 * SPLITS }, (_, index) => this.#split(name, index)))
    for (const split of this.#splits) this.#tellState(split)
    const reshardAt = this.#random.below(job.records.length)
    const snapshotAt = this.#random.below(job.records.length)
    let fed = 0
    for (const [from, to] of [
      [0, reshardAt],
      [reshardAt, job.records.length],
    ]) {
      if (from > 0) this.#reshard()
      for (const record of job.records.slice(from, to)) this.#splitOf(record.stream, record.partitionKey).records.push(decodeItem(record.data))
      for (let waiting = this.#waiting(); waiting.length > 0; waiting = this.#waiting()) {
        if (fed++ === snapshotAt && options.rescaleTo !== undefined) await this.#rescale(options.rescaleTo)
        this.#feed(this.#random.pick(waiting))
        this.#passTime()
        if (this.#random.happens(0.2)) this.#driver.flush()
      }
    }
    this.#end()
    this.#driver.flush()
    await this.#driver.close()
    return {
      outputs: this.#outputs,
      parallelisms: options.rescaleTo === undefined ? [options.parallelism] : [options.parallelism, options.rescaleTo],
      splits: new Map(job.streams.map(({ name }) => [name, 2 * SPLITS])),
    }
  }

  async #start(parallelism: number, restored?: Awaited<ReturnType<JobDriver['snapshot']>>): Promise<void> {
    const bindings = { sinkFor: (name: string) => ({ name, createWriter: () => raise(name) }), chance: () => this.#random.next() }
    const job = this.job.define({ bindings, sourceParallelism: 2 * SPLITS, scripted: true })
    this.#driver = await JobDriver.start(job, {
      parallelism,
      maxParallelism: this.job.maxParallelism,
      batching: true,
      processingTime: this.#driver?.processingTime ?? 0,
      ...(restored && { restored }),
      onOutput: (sink, item) => {
        if (item.kind === 'record') this.#outputs.get(sink)?.push({ value: item.value })
      },
    })
  }

  #split(stream: string, index: number): Split {
    const timing = this.job.streams.find(({ name }) => name === stream)?.timing
    return {
      stream,
      index,
      mayIdle: timing?.idlenessMs !== undefined,
      hasWatermarks: timing?.generator !== 'none',
      records: [],
      generator: this.#generator(stream),
      watermark: Number.NEGATIVE_INFINITY,
      state: index < SPLITS ? 'open' : 'not begun',
    }
  }

  #generator(stream: string): WatermarkGenerator<Item> {
    const { timing } = this.job.streams.find(({ name }) => name === stream) as GeneratedJob['streams'][number]
    return strategyOf(timing).createGenerator()
  }

  #splitOf(stream: string, partitionKey: string): Split {
    const open = this.#splits.filter((split) => split.stream === stream && split.state === 'open')
    return open[[...partitionKey].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % open.length]
  }

  #waiting(): Split[] {
    return this.#splits.filter(({ records }) => records.length > 0)
  }

  #input(split: Split): JobInput<Item> {
    return this.#driver.input<Item>(split.stream, split.index)
  }

  #feed(split: Split): void {
    const idle = this.#splits.filter(({ mayIdle, state }) => mayIdle && state === 'open')
    if (idle.length > 0 && this.#random.happens(0.2)) this.#input(this.#random.pick(idle)).idle(true)
    const item = split.records.shift() as Item
    this.#input(split).element(item, item.t)
    split.generator.onEvent(item, item.t, this.#output(split))
    if (this.#random.happens(0.3)) split.generator.onPeriodicEmit(this.#output(split))
  }

  #output(split: Split): WatermarkOutput {
    return {
      emitWatermark: (watermark) => {
        if (watermark <= split.watermark) return
        split.watermark = watermark
        this.#input(split).idle(false)
        this.#input(split).watermark(watermark)
      },
      markIdle: () => {},
      markActive: () => {},
    }
  }

  #passTime(): void {
    if (this.job.settleMs > 0 && this.#random.happens(0.3))
      this.#driver.advanceProcessingTime(this.#driver.processingTime + this.#random.below(20_000))
  }

  /** Neither a split that has not begun nor one that has ended holds the watermark back. */
  #tellState(split: Split): void {
    if (split.state === 'open') return
    this.#input(split).idle(split.state === 'not begun')
    if (split.state === 'ended') this.#input(split).watermark(MAX_WATERMARK)
  }

  /** Each stream's second splits begin where all of its first have ended. */
  #reshard(): void {
    this.#driver.flush()
    for (const { name } of this.job.streams) {
      const [parents, children] = [true, false].map((first) =>
        this.#splits.filter(({ stream, index }) => stream === name && index < SPLITS === first),
      )
      const least = Math.min(...parents.map(({ watermark }) => watermark))
      for (const child of children) {
        child.state = 'open'
        this.#input(child).idle(false)
        this.#output(child).emitWatermark(least)
      }
      for (const parent of parents) {
        parent.state = 'ended'
        this.#tellState(parent)
      }
    }
  }

  /** Watermarks begin anew. */
  async #rescale(parallelism: number): Promise<void> {
    this.#driver.flush()
    const snapshot = await this.#driver.snapshot()
    await this.#start(parallelism, snapshot)
    for (const split of this.#splits) {
      split.generator = this.#generator(split.stream)
      split.watermark = Number.NEGATIVE_INFINITY
      this.#tellState(split)
    }
  }

  #end(): void {
    this.#driver.flush()
    for (const split of this.#splits) {
      if (split.state === 'ended') continue
      if (split.state === 'not begun' || this.job.ends) {
        this.#output(split).emitWatermark(MAX_WATERMARK)
        continue
      }
      const last = decodeItem(this.job.lastWord())
      this.#input(split).element(last, last.t)
      split.generator.onEvent(last, last.t, this.#output(split))
      split.generator.onPeriodicEmit(this.#output(split))
      const arrived = last.t === LAST_TIME_MS && (!split.hasWatermarks || split.watermark >= NEARLY_LAST_TIME_MS)
      if (!arrived) throw new Error(`the last word left the watermark at ${split.watermark}`)
    }
    if (this.job.settleMs > 0) this.#driver.advanceProcessingTime(this.#driver.processingTime + this.job.settleMs)
  }
}

function raise(name: string): never {
  throw new Error(`a capture stands for ${name}`)
}
