import { type KeyedSumVariant, keyedSumJob, PaymentEvents } from '../bench/keyed-sum.js'
import { kinesisEvent, streamRecord } from '../bench/kinesis-batch.js'
import { undisturbedPorts } from '../bench/undisturbed-ports.js'
import { planFingerprint } from '../functions/deployed-job.js'
import { sourceStreamsOf } from '../functions/deployment-plan.js'
import type { KinesisEvent } from '../functions/stage-event.js'
import { StageMetrics } from '../functions/stage-metrics.js'
import { CommandLineParameters, compileJob } from '../runtime/api/index.js'
import { MemoryStreams } from '../runtime/backends/memory/index.js'
import { CheckpointStore } from '../runtime/checkpoint/index.js'
import { type CompiledJob, type JobGraph, vertexOf } from '../runtime/plan/index.js'
import { JobControl } from '../runtime/task/job-control.js'
import { type Deployment, hasSource } from '../runtime/task/stage-names.js'
import type { StageEvent, StagePorts } from '../runtime/task/stage-ports.js'
import { StageSubtask } from '../runtime/task/stage-subtask.js'
import { CONTROL } from './bill.js'
import { CountingBlobStore, CountingCommitLog, CountingPokes, countingChannel, countingStreams } from './counting-ports.js'
import { Meter } from './meter.js'

export interface LoadOptions {
  /** Events a second; 0: none ever come. */
  readonly rate: number
  readonly keys: number
  /** Of the keyed stage. */
  readonly parallelism: number
  readonly variant: KeyedSumVariant
  /** Warm instances of each function, one of which takes an invocation; 1: each finds its own memory. */
  readonly instances: number
  /** Seconds that a batch of a shard gathers. */
  readonly windowSec: number
  /** How often a checkpoint begins, ms; 0: never. */
  readonly checkpointMs: number
  /** How often all sources are poked, ms; 0: never. */
  readonly tickMs: number
}

/** Records that a shard takes in a second. */
const SHARD_RECORDS = 1_000
/** As cdk/checkpoint-machine.ts waits between two looks. */
const POLL_MS = 3_000
/** Step Functions bills an express execution's time by 100 ms, and its memory by 64 MB, of which a small one takes one. */
const MACHINE_STEP_MS = 100
const MACHINE_GB = 64 / 1_024
/** All subtasks are looked after so often. */
const UPKEEP_MS = 3_600_000
const CHECKPOINT_TIMEOUT_MS = 600_000
/** What CloudWatch adds to each line. Of Lambda's own lines (START, END, REPORT) none is written when nothing goes wrong: cdk/job-function.ts sets the level WARN. */
const LOG_LINE_BYTES = 26
const START_MS = 1_700_000_000_000
/** Events come in the order of their times but for so much. */
const DISORDER_MS = 200

/** The functions of the deployed job. */
export type FunctionName = 'source' | 'keyed' | typeof CONTROL

/**
 * The two stages of {@link keyedSumJob} and their control function, run second by second in virtual time: every shard has a batch a second
 * (or a window), each at its own moment of it, and messages arrive at once. All code between the events and the ports is the engine's.
 */
export class LoadRun {
  readonly meter = new Meter()
  readonly graph: JobGraph
  readonly sourceShards: number
  /** What the stages counted. */
  readonly events = new Map<StageEvent, number>()
  results = 0
  readonly #options: LoadOptions
  readonly #deployment: Deployment
  readonly #streams = new MemoryStreams()
  readonly #pokes = new CountingPokes(this.meter)
  /** Of each warm instance, which counts and writes for itself. */
  readonly #metrics = new Map<string, StageMetrics>()
  /** Of the one that runs. */
  #counting: StageMetrics
  readonly #ports: StagePorts
  readonly #control: JobControl
  readonly #instances = new Map<string, StageSubtask>()
  /** Records of each subtask's shard that have been taken. */
  readonly #taken = new Map<string, number>()
  readonly #payments: PaymentEvents
  readonly #encoder = new TextEncoder()
  #now = START_MS
  #turn = 0
  #pollAtMs = Number.POSITIVE_INFINITY

  constructor(options: LoadOptions) {
    this.#options = options
    this.#payments = new PaymentEvents(options.keys)
    this.sourceShards = Math.max(1, Math.ceil(options.rate / SHARD_RECORDS))
    const compiled = this.#describe()
    this.graph = compiled.graph
    this.#deployment = { job: this.graph.job, revision: '1', plan: planFingerprint(this.graph) }
    const [source, keyed] = this.graph.vertices
    this.#streams.create(
      'payments',
      Array.from({ length: this.sourceShards }, (_, shard) => shardName(shard)),
    )
    const frames = this.#streams.createForStage(keyed.id, keyed.parallelism)
    const now = () => this.#now
    const channel = countingChannel(this.meter, frames, keyed.parallelism, now)
    const undisturbed = undisturbedPorts(now, this.#streams)
    this.#ports = {
      ...undisturbed,
      log: new CountingCommitLog(this.meter, now),
      parts: new CountingBlobStore(this.meter, 's3PartBytes'),
      checkpoints: new CheckpointStore(new CountingBlobStore(this.meter, 's3CheckpointBytes'), { newNonce: undisturbed.nonce }),
      pokes: this.#pokes,
      streams: countingStreams(this.meter, undisturbed.streams),
      channel: () => channel,
      count: (event, times = 1) => {
        this.#counting.count(event, times)
        this.events.set(event, (this.events.get(event) ?? 0) + times)
      },
    }
    this.#counting = this.#metricsOf(CONTROL)
    this.#control = new JobControl({
      deployment: this.#deployment,
      graph: this.graph,
      sources: sourceStreamsOf(compiled),
      ports: this.#ports,
      timeoutMs: CHECKPOINT_TIMEOUT_MS,
    })
    if (source.operators[0].isSource !== true) throw new Error('the first stage is the source')
  }

  /** To be called once, before any time passes. */
  async activate(): Promise<void> {
    await this.#invoke(CONTROL, () => this.#control.activate({ from: null }))
    await this.#deliverPokes()
  }

  /** Lets time pass. */
  async seconds(count: number): Promise<void> {
    for (let second = 0; second < count; second++) await this.#second()
  }

  async #second(): Promise<void> {
    const { checkpointMs, tickMs, windowSec } = this.#options
    const startMs = this.#now
    const sinceStart = startMs - START_MS
    const batches = (sinceStart / 1_000) % windowSec === 0
    if (checkpointMs > 0 && sinceStart % checkpointMs === 0) await this.#beginCheckpoint()
    if (startMs >= this.#pollAtMs) await this.#pollCheckpoint()
    if (tickMs > 0 && sinceStart % tickMs === Math.floor(tickMs / 2)) await this.#tick('sources')
    if (tickMs > 0 && sinceStart % UPKEEP_MS === UPKEEP_MS / 4) await this.#tick('all')
    for (let shard = 0; batches && shard < this.sourceShards; shard++) {
      this.#now = startMs + Math.floor((500 * shard) / this.sourceShards)
      await this.#sourceBatch(shard, startMs)
    }
    const keyed = this.graph.vertices[1]
    for (let index = 0; batches && index < keyed.parallelism; index++) {
      this.#now = startMs + 500 + Math.floor((500 * index) / keyed.parallelism)
      await this.#framesBatch(keyed.id, String(index))
    }
    this.#now = startMs + 1_000
  }

  // --- batches -----------------------------------------------------------------------------------------------------------

  async #sourceBatch(shard: number, startMs: number): Promise<void> {
    const { rate, windowSec } = this.#options
    const perShard = rate / this.sourceShards
    const second = (startMs - START_MS) / 1_000
    const from = Math.floor(second * perShard)
    const count = Math.floor((second + windowSec) * perShard) - from
    if (count === 0) return
    const data = Array.from({ length: count }, (_, at) =>
      this.#encoder.encode(this.#payments.next(startMs - 1_000 * windowSec + (1_000 * windowSec * at) / count, DISORDER_MS)),
    )
    await this.#batch(this.graph.vertices[0].id, shardName(shard), JSON.stringify(kinesisEvent(shardName(shard), from, data, this.#now)))
  }

  async #framesBatch(stage: string, subtask: string): Promise<void> {
    const all = this.#streams.stream(stage).records(subtask)
    const from = this.#taken.get(subtask) ?? 0
    if (all.length === from) return
    this.#taken.set(subtask, all.length)
    const data = all.slice(from).map((record) => record.data)
    await this.#batch(stage, subtask, JSON.stringify(kinesisEvent(subtask, from, data, this.#now)))
  }

  /** The event comes as text, which Lambda's runtime parses within the time that it bills. */
  async #batch(stage: string, subtask: string, text: string): Promise<void> {
    await this.#invoke(this.#functionOf(stage), async () => {
      const { Records } = JSON.parse(text) as KinesisEvent
      await this.#subtask(stage, subtask).invoke({ kind: 'batch', records: Records.map(streamRecord), attempt: 1 })
    })
    await this.#deliverPokes()
  }

  // --- pokes and control -------------------------------------------------------------------------------------------------

  /** A message costs a request to send, one to receive and one to delete. */
  async #deliverPokes(): Promise<void> {
    for (let due = this.#pokes.take(this.#now); due.length > 0; due = this.#pokes.take(this.#now)) {
      for (const { target } of due) {
        await this.#invoke(this.#functionOf(target.stage), async () => {
          this.meter.add('sqsRequests', 2)
          await this.#subtask(target.stage, target.subtask).invoke({ kind: 'poke' })
        })
      }
    }
  }

  /** As cdk/checkpoint-machine.ts: begin, and look from time to time until it is complete. */
  async #beginCheckpoint(): Promise<void> {
    this.#schedule('machineRequests', MACHINE_STEP_MS)
    const { status } = await this.#invoke(CONTROL, () => this.#control.begin('checkpoint'))
    await this.#deliverPokes()
    if (status === 'begun') this.#pollAtMs = this.#now + POLL_MS
  }

  async #pollCheckpoint(): Promise<void> {
    this.#machineRuns(POLL_MS)
    const { status } = await this.#invoke(CONTROL, () => this.#control.poll())
    await this.#deliverPokes()
    this.#pollAtMs = status === 'pending' ? this.#now + POLL_MS : Number.POSITIVE_INFINITY
  }

  #schedule(counter: 'machineRequests' | 'scheduledRules', ms: number): void {
    const usage = this.meter.of(CONTROL)
    usage.scheduledRules++
    if (counter === 'scheduledRules') return
    usage.machineRequests++
    this.#machineRuns(ms)
  }

  #machineRuns(ms: number): void {
    this.meter.of(CONTROL).machineGbSeconds += (ms / 1_000) * MACHINE_GB
  }

  async #tick(which: 'sources' | 'all'): Promise<void> {
    this.#schedule('scheduledRules', 0)
    await this.#invoke(CONTROL, () => this.#control.tick(which))
    await this.#deliverPokes()
  }

  // --- functions ---------------------------------------------------------------------------------------------------------

  async #invoke<T>(name: FunctionName, work: () => Promise<T>): Promise<T> {
    const result = await this.meter.invoke(name, async () => {
      this.#counting = this.#metricsOf(CONTROL)
      const done = await work()
      this.#counting.flush()
      return done
    })
    return result
  }

  #functionOf(stage: string): FunctionName {
    return hasSource(vertexOf(this.graph, stage)) ? 'source' : 'keyed'
  }

  #subtask(stage: string, subtask: string): StageSubtask {
    // Which warm instance takes an invocation is nobody's choice.
    const name = `${stage}/${subtask}/${(this.#turn++ * 7 + (this.#turn >> 3)) % this.#options.instances}`
    this.#counting = this.#metricsOf(name, stage)
    let instance = this.#instances.get(name)
    if (instance === undefined) {
      const describe = () => this.#describe()
      const parameters = CommandLineParameters.from([])
      instance = new StageSubtask({ deployment: this.#deployment, describe, stage, subtask, parameters, ports: this.#ports })
      this.#instances.set(name, instance)
    }
    return instance
  }

  #metricsOf(instance: string, stage?: string): StageMetrics {
    let metrics = this.#metrics.get(instance)
    if (metrics === undefined) {
      const write = (line: string) => this.meter.add('logBytes', line.length + LOG_LINE_BYTES)
      metrics = new StageMetrics({ job: 'keyed-sum', ...(stage === undefined ? {} : { stage }) }, write, () => this.#now)
      this.#metrics.set(instance, metrics)
    }
    return metrics
  }

  #describe(): CompiledJob {
    const { variant, parallelism } = this.#options
    const job = keyedSumJob(variant, (results) => {
      this.results += results
    })
    return compileJob(job, { parameters: [], parallelism })
  }
}

function shardName(shard: number): string {
  return `shardId-${String(shard).padStart(12, '0')}`
}
