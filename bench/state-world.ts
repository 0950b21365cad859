import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommandLineParameters, compileJob } from '../runtime/api/index.js'
import { FileBlobStore } from '../runtime/backends/file/index.js'
import { MemoryChannel, MemoryCommitLog, MemoryPokes, MemoryStreams } from '../runtime/backends/memory/index.js'
import { CheckpointStore } from '../runtime/checkpoint/index.js'
import { defineJob, kinesisSource, type Sink, valueState, WatermarkStrategy } from '../runtime/index.js'
import type { CompiledJob } from '../runtime/plan/index.js'
import type { BlobStore, ByteRange, ControlItem, LogItem } from '../runtime/ports/index.js'
import { pack, unpack } from '../runtime/state/index.js'
import { JobControl } from '../runtime/task/job-control.js'
import type { StagePorts } from '../runtime/task/stage-ports.js'
import { StageSubtask } from '../runtime/task/stage-subtask.js'
import { kinesisEvent, streamRecord } from './kinesis-batch.js'
import { undisturbedPorts } from './undisturbed-ports.js'

const SHARD = 'shardId-000000000000'
const DEPLOYMENT = { job: 'many-keys', revision: '1', plan: 'bench' }
const LOG_FILE = 'log.bin'
const START_MS = 1_700_000_000_000
const CHECKPOINT_TIMEOUT_MS = 600_000

interface Hit {
  readonly user: string
}

/** What the keyed stage asked of the outside. */
export interface Calls {
  readonly reads: number
  readonly appends: number
  readonly puts: number
  readonly gets: number
  readonly ranges: number
  readonly bytesWritten: number
  readonly bytesRead: number
}

interface Saved {
  readonly produced: number
  readonly frames: number
  readonly logs: readonly (readonly [name: string, items: readonly LogItem[], control: ControlItem | null])[]
}

/** A job that keeps 60 bytes for each of many keys in one subtask: its log in memory, its blobs in a folder, so that another process can go on with it. */
export class StateWorld {
  #calls = noCalls()
  readonly #streams = new MemoryStreams()
  readonly #log = new MemoryCommitLog()
  readonly #ports: StagePorts
  readonly #keyedId: string
  readonly #control: JobControl
  #source: StageSubtask
  #keyed: StageSubtask
  #now = START_MS
  #produced = 0
  /** Frames of former processes, and of this one. */
  #framesBefore = 0
  #framesTaken = 0

  constructor(
    readonly folder: string,
    readonly stateMemoryBytes: number,
  ) {
    const now = () => this.#now
    const { graph } = this.#describe()
    const [source, keyed] = graph.vertices
    this.#keyedId = keyed.id
    this.#streams.create('hits', [SHARD])
    const channel = new MemoryChannel(this.#streams.createForStage(keyed.id, 1), { now })
    const undisturbed = undisturbedPorts(now, this.#streams)
    this.#ports = {
      ...undisturbed,
      log: this.#counted(),
      parts: this.#countedBlobs(new FileBlobStore(join(folder, 'parts'))),
      checkpoints: new CheckpointStore(this.#countedBlobs(new FileBlobStore(join(folder, 'checkpoints'))), {
        newNonce: () => Math.random().toString(16).slice(2),
      }),
      nonce: () => Math.random().toString(16).slice(2),
      pokes: new MemoryPokes(),
      channel: () => channel,
      count: () => {},
    }
    const sources = { [source.id]: 'hits' }
    this.#control = new JobControl({ deployment: DEPLOYMENT, graph, sources, ports: this.#ports, timeoutMs: CHECKPOINT_TIMEOUT_MS })
    this.#source = this.#subtask(source.id, SHARD)
    this.#keyed = this.#subtask(keyed.id, '0')
  }

  async activate(): Promise<void> {
    await this.#control.activate({ from: null })
  }

  /** One invocation of each stage; what the keyed one took. */
  async take(users: readonly string[]): Promise<{ readonly cpuMs: number; readonly calls: Calls }> {
    const encoder = new TextEncoder()
    const data = users.map((user) => encoder.encode(JSON.stringify({ user })))
    const { Records } = kinesisEvent(SHARD, this.#produced, data, this.#now)
    this.#produced += data.length
    this.#now += 1_000
    await this.#source.invoke({ kind: 'batch', records: Records.map(streamRecord), attempt: 1 })
    return this.#takeFrames()
  }

  async #takeFrames(): Promise<{ readonly cpuMs: number; readonly calls: Calls }> {
    const data = this.#streams
      .stream(this.#keyedId)
      .records('0')
      .slice(this.#framesTaken)
      .map((record) => record.data)
    const { Records } = kinesisEvent('0', this.#framesBefore + this.#framesTaken, data, this.#now)
    this.#framesTaken += data.length
    this.#calls = noCalls()
    const cpu = process.cpuUsage()
    await this.#keyed.invoke({ kind: 'batch', records: Records.map(streamRecord) })
    const { user, system } = process.cpuUsage(cpu)
    return { cpuMs: (user + system) / 1_000, calls: { ...this.#calls } }
  }

  async checkpoint(): Promise<void> {
    const begun = await this.#control.begin('checkpoint')
    // Nothing has changed since the last one.
    if (begun.status === 'unchanged') return
    await this.#source.invoke({ kind: 'poke' })
    await this.#takeFrames()
    const progress = await this.#control.poll()
    if (progress.status !== 'completed') throw new Error(`the checkpoint is ${JSON.stringify(progress)}`)
    // Compaction, where it was asked for.
    await this.#keyed.invoke({ kind: 'poke' })
  }

  async save(): Promise<void> {
    const logs: (readonly [string, readonly LogItem[], ControlItem | null])[] = []
    for (const name of this.#log.names) {
      const { items, control } = await this.#log.read(name, 0)
      logs.push([name, items.slice(-300), control ?? null])
    }
    const saved: Saved = { produced: this.#produced, frames: this.#framesBefore + this.#framesTaken, logs }
    writeFileSync(join(this.folder, LOG_FILE), pack(saved))
  }

  async load(): Promise<void> {
    const { produced, frames, logs } = unpack(readFileSync(join(this.folder, LOG_FILE))) as Saved
    for (const [name, items, control] of logs) {
      for (const item of items) await this.#log.append(name, item)
      if (control !== null) await this.#log.putControl(name, control)
    }
    this.#produced = produced
    this.#framesBefore = frames
    this.#now += produced * 1_000
  }

  #subtask(stage: string, subtask: string): StageSubtask {
    const parameters = CommandLineParameters.from([])
    const settings = { stateMemoryBytes: this.stateMemoryBytes, logRetentionMs: Number.MAX_SAFE_INTEGER }
    return new StageSubtask({ deployment: DEPLOYMENT, describe: () => this.#describe(), stage, subtask, parameters, ports: this.#ports, settings })
  }

  #describe(): CompiledJob {
    return compileJob(manyKeys, { parameters: [], parallelism: 1 })
  }

  #counted(): MemoryCommitLog {
    const log = this.#log
    const read = log.read.bind(log)
    const append = log.append.bind(log)
    log.read = (name, after) => {
      this.#calls.reads++
      return read(name, after)
    }
    log.append = (name, item) => {
      this.#calls.appends++
      this.#calls.bytesWritten += item.payload.length
      return append(name, item)
    }
    return log
  }

  #countedBlobs(blobs: BlobStore): BlobStore {
    const read = (bytes: Uint8Array | undefined): Uint8Array | undefined => {
      this.#calls.bytesRead += bytes?.length ?? 0
      return bytes
    }
    return {
      put: (name, bytes) => {
        this.#calls.puts++
        this.#calls.bytesWritten += bytes.length
        return blobs.put(name, bytes)
      },
      get: (name) => {
        this.#calls.gets++
        return blobs.get(name).then(read)
      },
      getRange: (name, range: ByteRange) => {
        this.#calls.ranges++
        return blobs.getRange(name, range).then(read)
      },
      list: (prefix) => blobs.list(prefix),
      delete: (name) => blobs.delete(name),
    }
  }
}

const nowhere: Sink<unknown, never> = {
  name: 'nowhere',
  createWriter: () => {
    throw new Error('a stage writes through the transactor')
  },
  createTransactor: () => ({ apply: async () => {}, fence: async () => {} }),
}

const manyKeys = defineJob('many-keys', (env) => {
  const utf8 = new TextDecoder()
  env
    .fromSource(
      kinesisSource({ stream: 'hits', deserialize: (data: Uint8Array) => JSON.parse(utf8.decode(data)) as Hit }),
      WatermarkStrategy.noWatermarks<Hit>(),
    )
    .uid('hits')
    .keyBy(({ user }) => user)
    .process({
      state: { seen: valueState<{ readonly count: number; readonly about: string }>() },
      processElement({ user }: Hit, { state }) {
        const count = (state.seen.value()?.count ?? 0) + 1
        state.seen.update({ count, about: `what is known of ${user}, ${count} times`.padEnd(50, '.') })
      },
    })
    .uid('seen')
    .sinkTo(nowhere)
    .uid('out')
})

function noCalls(): { -readonly [name in keyof Calls]: number } {
  return { reads: 0, appends: 0, puts: 0, gets: 0, ranges: 0, bytesWritten: 0, bytesRead: 0 }
}
