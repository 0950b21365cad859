import os from 'node:os'
import type { KinesisEventRecord } from '../functions/stage-event.js'
import { CommandLineParameters, compileJob } from '../runtime/api/index.js'
import { MemoryBlobStore, MemoryChannel, MemoryCommitLog, MemoryPokes, MemoryStreams } from '../runtime/backends/memory/index.js'
import { CheckpointStore } from '../runtime/checkpoint/index.js'
import type { CompiledJob } from '../runtime/plan/index.js'
import { JobControl } from '../runtime/task/job-control.js'
import type { StagePorts } from '../runtime/task/stage-ports.js'
import { StageSubtask } from '../runtime/task/stage-subtask.js'
import { EVENT_BYTES, type KeyedSumVariant, keyedSumJob, PaymentEvents } from './keyed-sum.js'
import { kinesisEvent, streamRecord } from './kinesis-batch.js'
import { machine, millraceVersion } from './machine.js'
import { monotonicMs } from './monotonic-ms.js'
import { undisturbedPorts } from './undisturbed-ports.js'

export interface HandlersOptions {
  readonly events: number
  /** Events of a batch of the source's shard. */
  readonly batch: number
  readonly keys: number
  /** Events a second of event time. */
  readonly eps: number
  readonly variant: KeyedSumVariant
  /** Runs, of which the best counts. */
  readonly rounds: number
}

/** The way of the events through the handlers of both stages, on one core. MB are 10^6 bytes of the source. */
export interface HandlersResult extends HandlersOptions {
  readonly engine: string
  readonly mbPerSec: number
  readonly eventsPerSec: number
  /** By the clock on the wall, which counts what else the machine does. */
  readonly wallMbPerSec: number
  /** CPU of the best run, microseconds an event. */
  readonly sourceUs: number
  readonly keyedUs: number
  readonly results: number
  /** Bytes of the frames between the stages, an event. */
  readonly frameBytes: number
  /** Of every run. */
  readonly allMbPerSec: readonly number[]
  readonly load1: number
  readonly node: string
  readonly cpu: string
  readonly cores: number
}

/** Of events that warm the handlers up before anything is measured. */
const WARM_UP = 200_000
const DISORDER_MS = 200
const START_MS = 1_700_000_000_000
const SHARD = 'shardId-000000000000'

/** Runs the handlers several times; the clock starts where a handler gets the records of its event and stops when it has nothing left to do. */
export async function runHandlers(options: HandlersOptions): Promise<HandlersResult> {
  const handlers = await Handlers.open(options)
  await handlers.take(WARM_UP)
  const runs: Run[] = []
  for (let round = 0; round < options.rounds; round++) runs.push(await handlers.take(options.events))
  const cpuUs = ({ source, keyed }: Run) => source.cpuUs + keyed.cpuUs
  const best = runs.reduce((least, run) => (cpuUs(run) < cpuUs(least) ? run : least))
  const mbPerSec = (us: number) => round((options.events * EVENT_BYTES) / us)
  return {
    engine: `millrace-${millraceVersion()}`,
    ...options,
    mbPerSec: mbPerSec(cpuUs(best)),
    eventsPerSec: Math.round((options.events / cpuUs(best)) * 1e6),
    wallMbPerSec: mbPerSec(best.source.wallUs + best.keyed.wallUs),
    sourceUs: round(best.source.cpuUs / options.events),
    keyedUs: round(best.keyed.cpuUs / options.events),
    results: best.results,
    frameBytes: round(best.frameBytes / options.events),
    allMbPerSec: runs.map((run) => mbPerSec(cpuUs(run))),
    load1: os.loadavg()[0],
    ...machine(),
  }
}

function round(n: number): number {
  return Math.round(n * 100) / 100
}

interface Spent {
  cpuUs: number
  wallUs: number
}

interface Run {
  readonly source: Spent
  readonly keyed: Spent
  readonly results: number
  readonly frameBytes: number
}

class Handlers {
  readonly #streams = new MemoryStreams()
  readonly #ports: StagePorts
  readonly #payments: PaymentEvents
  readonly #encoder = new TextEncoder()
  readonly #source: StageSubtask
  readonly #keyed: StageSubtask
  readonly #keyedId: string
  #now = START_MS
  #produced = 0
  #framesTaken = 0
  #results = 0

  private constructor(readonly options: HandlersOptions) {
    this.#payments = new PaymentEvents(options.keys)
    const now = () => this.#now
    const [source, keyed] = this.#describe().graph.vertices
    this.#keyedId = keyed.id
    this.#streams.create('payments', [SHARD])
    const channel = new MemoryChannel(this.#streams.createForStage(keyed.id, 1), { now })
    const undisturbed = undisturbedPorts(now, this.#streams)
    this.#ports = {
      ...undisturbed,
      log: new MemoryCommitLog({ now }),
      parts: new ForgetfulBlobStore(),
      checkpoints: new CheckpointStore(new MemoryBlobStore(), { newNonce: undisturbed.nonce }),
      pokes: new MemoryPokes(),
      channel: () => channel,
      count: () => {},
    }
    this.#source = this.#subtask(source.id, SHARD)
    this.#keyed = this.#subtask(keyed.id, '0')
  }

  static async open(options: HandlersOptions): Promise<Handlers> {
    const handlers = new Handlers(options)
    const { graph } = handlers.#describe()
    const sources = { [graph.vertices[0].id]: 'payments' }
    await new JobControl({ deployment: DEPLOYMENT, graph, sources, ports: handlers.#ports, timeoutMs: 60_000 }).activate({ from: null })
    return handlers
  }

  async take(events: number): Promise<Run> {
    const run = { source: { cpuUs: 0, wallUs: 0 }, keyed: { cpuUs: 0, wallUs: 0 }, frameBytes: 0 }
    const before = this.#results
    for (let left = events; left > 0; left -= this.options.batch) {
      const batch = this.#nextBatch(Math.min(left, this.options.batch))
      await spend(run.source, () => this.#source.invoke({ kind: 'batch', records: batch.map(streamRecord), attempt: 1 }))
      const frames = this.#nextFrames()
      run.frameBytes += frames.bytes
      await spend(run.keyed, () => this.#keyed.invoke({ kind: 'batch', records: frames.records.map(streamRecord) }))
    }
    return { ...run, results: this.#results - before }
  }

  #nextBatch(events: number): readonly KinesisEventRecord[] {
    const from = this.#produced
    const data = Array.from({ length: events }, () => {
      return this.#encoder.encode(this.#payments.next(START_MS + (1_000 * this.#produced++) / this.options.eps, DISORDER_MS))
    })
    this.#now = START_MS + (1_000 * this.#produced) / this.options.eps
    return kinesisEvent(SHARD, from, data, this.#now).Records
  }

  #nextFrames(): { readonly records: readonly KinesisEventRecord[]; readonly bytes: number } {
    const data = this.#streams
      .stream(this.#keyedId)
      .records('0')
      .slice(this.#framesTaken)
      .map((record) => record.data)
    const { Records } = kinesisEvent('0', this.#framesTaken, data, this.#now)
    this.#framesTaken += data.length
    return { records: Records, bytes: data.reduce((sum, bytes) => sum + bytes.length, 0) }
  }

  #subtask(stage: string, subtask: string): StageSubtask {
    const parameters = CommandLineParameters.from([])
    return new StageSubtask({ deployment: DEPLOYMENT, describe: () => this.#describe(), stage, subtask, parameters, ports: this.#ports })
  }

  #describe(): CompiledJob {
    const job = keyedSumJob(this.options.variant, (results) => {
      this.#results += results
    })
    return compileJob(job, { parameters: [], parallelism: 1 })
  }
}

const DEPLOYMENT = { job: 'keyed-sum', revision: '1', plan: 'bench' }

/** Parts of commits that nobody reads while both subtasks stay in memory. */
class ForgetfulBlobStore extends MemoryBlobStore {
  override async put(): Promise<'stored'> {
    return 'stored'
  }
}

/** Only under `node --expose-gc`. */
const collectYoung = (globalThis as { readonly gc?: (options: { readonly type: 'minor' }) => void }).gc

async function spend(spent: Spent, work: () => Promise<void>): Promise<void> {
  // What the making of events leaves behind is nothing the handlers have to clean up, nor is the event itself: the second time it counts as old.
  collectYoung?.({ type: 'minor' })
  collectYoung?.({ type: 'minor' })
  const cpu = process.cpuUsage()
  const wall = monotonicMs()
  await work()
  const { user, system } = process.cpuUsage(cpu)
  spent.cpuUs += user + system
  spent.wallUs += (monotonicMs() - wall) * 1_000
}
