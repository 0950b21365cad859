import { setTimeout as pause } from 'node:timers/promises'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import type { EventSourceMappingConfiguration, LambdaClient } from '@aws-sdk/client-lambda'
import {
  EventSourceMapping,
  type MappedFunction,
  type MappingFaults,
  type MappingStats,
  mappedStream,
} from '../runtime/testing/event-source-mapping.js'
import { KinesisReader } from './kinesis-reader.js'
import { lambdaBatches } from './lambda-batches.js'
import type { MappingProgress } from './position-file.js'

/** What may go wrong between a mapping and its function, beside what Lambda itself may do: probabilities, 0 to 1. */
export interface PollerFaults extends MappingFaults {
  /** An invocation fails without having begun. */
  readonly failInvocation: number
  /** The answer to an invocation comes late, by up to `slowMs`. */
  readonly slow: number
  readonly slowMs: number
}

export const NO_POLLER_FAULTS: PollerFaults = {
  duplicate: 0,
  splitRetry: 0,
  loseAnswer: 0,
  reDeliverOld: 0,
  timeout: 0,
  failInvocation: 0,
  slow: 0,
  slowMs: 1_000,
}

/** What a mapping reads and calls, and who is told of its failures. */
export interface PollerSurroundings {
  readonly kinesis: KinesisClient
  readonly lambda: LambdaClient
  readonly pollMs: number
  readonly log: (line: string) => void
}

/** Longer than the longest function may run, which fails by itself. */
const TIMEOUT_MS = 16 * 60_000
const world = { now: () => Date.now(), random: () => Math.random(), sleep: async (ms: number) => void (await pause(ms)) }

/** One event source mapping of Lambda's, as far as it is configured, that reads a stream of Kinesis and invokes the mapping's function. */
export class FollowedMapping {
  readonly #settings: string
  readonly #reader: KinesisReader
  readonly #mapping: EventSourceMapping
  readonly #keep: number
  #config: EventSourceMappingConfiguration
  #faults: PollerFaults = NO_POLLER_FAULTS
  #invoke: MappedFunction
  #stopped = false
  #underWay = 0
  #said = ''
  #running: Promise<void> | undefined

  constructor(
    config: EventSourceMappingConfiguration,
    readonly start: MappingProgress,
    readonly surroundings: PollerSurroundings,
  ) {
    this.#config = config
    this.#settings = settingsOf(config)
    const batchSize = config.BatchSize ?? 100
    this.#keep = 4 * batchSize
    this.#invoke = this.#lambda()
    this.#reader = new KinesisReader(surroundings.kinesis, streamName(config), { from: start, readAhead: 2 * batchSize })
    this.#mapping = new EventSourceMapping(mappedStream(this.#reader), (batch) => this.#call(batch), world, {
      batchSize,
      batchingWindowMs: (config.MaximumBatchingWindowInSeconds ?? 0) * 1_000,
      bisectOnError: config.BisectBatchOnFunctionError ?? false,
      partialResponses: config.FunctionResponseTypes?.includes('ReportBatchItemFailures') ?? false,
      timeoutMs: TIMEOUT_MS,
      pollMs: Number.POSITIVE_INFINITY,
    })
  }

  get uuid(): string {
    return this.#config.UUID as string
  }

  /** It is configured otherwise than it was made, in what cannot change while it runs. */
  differsFrom(config: EventSourceMappingConfiguration): boolean {
    return settingsOf(config) !== this.#settings
  }

  /** Takes over function and state. */
  follow(config: EventSourceMappingConfiguration): void {
    const repointed = config.FunctionArn !== this.#config.FunctionArn
    this.#config = config
    if (repointed) this.#invoke = this.#lambda()
    if (isEnabled(config)) {
      this.#running ??= this.#run()
      this.#mapping.enable()
    } else this.#mapping.disable()
  }

  setFaults(faults: PollerFaults): void {
    this.#faults = faults
    const { failInvocation: _fail, slow: _slow, slowMs: _slowMs, ...ofMapping } = faults
    this.#mapping.setFaults(ofMapping)
  }

  /** Ends when no invocation is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#mapping.disable()
    await this.#running
    while (this.#underWay > 0) await pause(20)
    // The mapping hears of the last answer a little later.
    await pause(0)
  }

  get progress(): MappingProgress {
    const behind = new Map(this.start.behind)
    for (const { splitId } of this.#reader.splits()) {
      const position = this.#mapping.position(splitId)
      if (position !== undefined) behind.set(splitId, position)
    }
    return { first: this.start.first, behind }
  }

  /** Everything that is known to be in the stream is acknowledged. */
  get idle(): boolean {
    return this.#mapping.idle
  }

  get status(): { readonly functionArn: string; readonly enabled: boolean; readonly idle: boolean; readonly stats: MappingStats } {
    return { functionArn: this.#config.FunctionArn as string, enabled: isEnabled(this.#config), idle: this.idle, stats: this.#mapping.stats }
  }

  #lambda(): MappedFunction {
    const { FunctionArn, EventSourceArn } = this.#config
    return lambdaBatches(this.surroundings.lambda, { functionArn: FunctionArn as string, streamArn: EventSourceArn as string })
  }

  async #call(batch: Parameters<MappedFunction>[0]): ReturnType<MappedFunction> {
    const { failInvocation, slow, slowMs } = this.#faults
    this.#underWay++
    try {
      if (world.random() < failInvocation) throw new Error('this invocation fails, as was wished')
      const answer = await this.#invoke(batch)
      if (world.random() < slow) await pause(world.random() * slowMs)
      if (answer.failedFrom !== undefined) this.#say(`failed from ${answer.failedFrom} on`, batch)
      return answer
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error), batch)
      throw error
    } finally {
      this.#underWay--
    }
  }

  #say(what: string, { splitId, records }: Parameters<MappedFunction>[0]): void {
    this.surroundings.log(`${this.#config.FunctionArn?.split(':').slice(6).join(':')} ${splitId} ${records.length} records: ${what}`)
  }

  #sayOnce(line: string): void {
    if (line !== this.#said) this.surroundings.log(line)
    this.#said = line
  }

  async #run(): Promise<void> {
    let began = false
    while (!this.#stopped) {
      try {
        for (const { splitId } of this.#reader.splits()) this.#reader.release(splitId, this.#mapping.position(splitId), this.#keep)
        const news = await this.#reader.pull()
        if (!began) this.#mapping.start()
        began = true
        if (!isEnabled(this.#config)) this.#mapping.disable()
        if (news) this.#mapping.wake()
        this.#said = ''
      } catch (error) {
        // The stream may be gone, or the server for a while.
        this.#sayOnce(`${streamName(this.#config)}: ${error instanceof Error ? error.message : String(error)}`)
      }
      await pause(this.surroundings.pollMs)
    }
  }
}

function isEnabled({ State }: EventSourceMappingConfiguration): boolean {
  return State === 'Enabled' || State === 'Enabling' || State === 'Creating'
}

/** What the mapping is made with. Which function it calls and whether it is enabled may change. */
function settingsOf(config: EventSourceMappingConfiguration): string {
  const { EventSourceArn, BatchSize, MaximumBatchingWindowInSeconds, BisectBatchOnFunctionError, FunctionResponseTypes } = config
  return JSON.stringify([EventSourceArn, BatchSize, MaximumBatchingWindowInSeconds, BisectBatchOnFunctionError, FunctionResponseTypes])
}

function streamName({ EventSourceArn }: EventSourceMappingConfiguration): string {
  // Of a consumer with enhanced fan-out: arn:…:stream/NAME/consumer/…
  return (EventSourceArn as string).split('/')[1]
}
