import { CommandLineParameters, compileJob, defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import {
  MemoryBlobStore,
  MemoryChannel,
  MemoryCommitLog,
  MemoryPokes,
  MemorySourceStreams,
  MemoryStreams,
} from '../../runtime/backends/memory/index.js'
import { CheckpointStore } from '../../runtime/checkpoint/index.js'
import type { ManifestRef } from '../../runtime/checkpoint/job-record.js'
import { kinesisSource, MillraceError, type Sink, type SinkMarker, WatermarkStrategy } from '../../runtime/index.js'
import type { CompiledJob, JobGraph } from '../../runtime/plan/index.js'
import type { BlobStore, Compression } from '../../runtime/ports/index.js'
import { type BaseState, decodeBase, EMPTY_BASE } from '../../runtime/task/base-state.js'
import { type CommitRecord, decodeCommit, loadPart } from '../../runtime/task/commit-record.js'
import type { ActivateOptions } from '../../runtime/task/job-activation.js'
import { JobControl } from '../../runtime/task/job-control.js'
import { fenceSinks } from '../../runtime/task/sink-fence.js'
import { type Deployment, hasSource, subtaskLogName } from '../../runtime/task/stage-names.js'
import type { DeadLetter, StageEvent, StagePorts } from '../../runtime/task/stage-ports.js'
import type { StageSettings } from '../../runtime/task/stage-settings.js'
import { type StageCall, StageSubtask } from '../../runtime/task/stage-subtask.js'
import { type Fault, FaultyPorts, type PortCall } from '../../runtime/testing/faulty-ports.js'

const NO_PARAMETERS = CommandLineParameters.from([])
const HOUR_MS = 3_600_000
/** Calls without an end are a mistake of the test or of the stage. */
const MOST_ROUNDS = 10_000
/** Turns of the event loop in which nobody sleeps: files may be read meanwhile. */
const MOST_IDLE = 1_000_000

/** Ports in memory that fail when they are told to, and a clock that goes on only when it is moved or when all that is left to do is to wait. */
export class StageWorld {
  /** Epoch ms. */
  now = 1_000 * HOUR_MS
  /** Asked for each call of a port. */
  fault: (call: PortCall) => Fault | undefined = () => undefined
  /** Every call of a port, as `port.operation key`. */
  readonly calls: string[] = []
  readonly log = new MemoryCommitLog({ now: () => this.now })
  readonly parts = new MemoryBlobStore()
  readonly blobs: BlobStore
  readonly pokes = new MemoryPokes()
  readonly streams = new MemoryStreams()
  compression: Compression | undefined
  readonly letters = new Map<string, DeadLetter>()
  /** How often each letter was written. */
  readonly letterWrites: string[] = []
  readonly checkpoints: CheckpointStore
  readonly #events = new Map<StageEvent, number>()
  #timers: { readonly at: number; readonly fire: () => void }[] = []
  #nonces = 0

  /** `checkpoints`: where they are kept instead of in memory. */
  constructor(checkpoints: { readonly blobs: BlobStore; readonly root: string } = { blobs: new MemoryBlobStore(), root: 'memory' }) {
    this.blobs = checkpoints.blobs
    const newNonce = () => this.#nonce()
    this.checkpoints = new CheckpointStore(this.#faulty.blobs(checkpoints.blobs, 'checkpoints'), { root: checkpoints.root, newNonce })
  }

  /** With a stream that jobs read. */
  static withStream(name: string, splits: readonly string[] = ['s0']): StageWorld {
    const world = new StageWorld()
    world.streams.create(name, splits)
    return world
  }

  #nonce(): string {
    return `n${++this.#nonces}`
  }

  get #faulty(): FaultyPorts {
    return new FaultyPorts({
      decide: (call) => {
        this.calls.push(`${call.port}.${call.operation} ${call.key}`)
        return this.fault(call)
      },
      sleep: (ms) => this.sleep(ms),
      later: (ms, effect) => void this.sleep(ms).then(effect),
    })
  }

  /** `prefix` names the streams between the stages of one revision. */
  ports(prefix: string): StagePorts {
    const faulty = this.#faulty
    const now = () => this.now
    return {
      clock: { now, monotonic: now },
      log: faulty.log(this.log),
      parts: faulty.blobs(this.parts, 'parts'),
      checkpoints: this.checkpoints,
      pokes: faulty.pokes(this.pokes),
      streams: faulty.streams(new MemorySourceStreams(this.streams)),
      deadLetters: {
        write: async (id, letter) => {
          this.letters.set(id, letter)
          this.letterWrites.push(id)
        },
      },
      channel: (stage) => faulty.channel(new MemoryChannel(this.streams.stream(`${prefix}/${stage}`), { now }), stage),
      ...(this.compression === undefined ? {} : { compression: this.compression }),
      random: () => 0.5,
      nonce: () => this.#nonce(),
      pause: (ms) => this.sleep(ms),
      count: (event, times = 1) => void this.#events.set(event, this.count(event) + times),
    }
  }

  /** How often a stage has counted this. */
  count(event: StageEvent): number {
    return this.#events.get(event) ?? 0
  }

  /** Resolves when the clock has come so far. */
  sleep(ms: number): Promise<void> {
    return new Promise((fire) => this.#timers.push({ at: this.now + ms, fire }))
  }

  /** Waits for what may sleep: once nothing else happens, the clock goes on to the next who is to be woken. */
  async wait<T>(work: Promise<T>): Promise<T> {
    let settled = false
    const done = () => {
      settled = true
    }
    work.then(done, done)
    for (let idle = 0; idle < MOST_IDLE; idle++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (settled) return work
      if (this.#wakeNext()) idle = 0
    }
    throw new Error('everybody waits, and nothing will happen')
  }

  #wakeNext(): boolean {
    const at = Math.min(...this.#timers.map((timer) => timer.at))
    if (at === Number.POSITIVE_INFINITY) return false
    this.now = Math.max(this.now, at)
    const due = this.#timers.filter((timer) => timer.at <= this.now)
    this.#timers = this.#timers.filter((timer) => timer.at > this.now)
    for (const { fire } of due) fire()
    return true
  }
}

/** The outside behind sinks: what was applied, and the last marker of each writer, as a database with transactions has them. */
export class Outside {
  readonly applied: { readonly marker: SinkMarker; readonly values: readonly unknown[] }[] = []
  /** Markers that came again, or from a former attempt. */
  readonly refused: SinkMarker[] = []
  readonly fences: string[] = []
  /** The next call fails, before or after it has its effect. */
  failNext: 'before' | 'after' | undefined
  readonly #markers = new Map<string, SinkMarker>()

  get values(): readonly unknown[] {
    return this.applied.flatMap(({ values }) => values)
  }

  sink(delivery?: Sink<unknown>['delivery']): Sink<unknown, never> {
    return {
      name: 'outside',
      ...(delivery === undefined ? {} : { delivery }),
      createWriter: () => {
        throw new Error('a stage writes through the transactor')
      },
      createTransactor: () => ({
        apply: async (marker, records) => {
          const failing = this.failNext
          this.failNext = undefined
          if (failing === 'before') throw new Error('the database does not answer')
          if (this.#raise(marker)) this.applied.push({ marker, values: records.map(({ value }) => value) })
          else this.refused.push(marker)
          if (failing === 'after') throw new Error('the database did it and does not answer')
        },
        fence: async (writer, attempt) => {
          this.fences.push(`${writer}@${attempt}`)
          this.#raise({ writer, attempt, version: 0 })
        },
      }),
    }
  }

  #raise(marker: SinkMarker): boolean {
    const last = this.#markers.get(marker.writer)
    if (last !== undefined && (last.attempt - marker.attempt || last.version - marker.version) >= 0) return false
    this.#markers.set(marker.writer, marker)
    return true
  }
}

export interface StagesOptions {
  readonly name?: string
  readonly revision?: string
  readonly parallelism?: number
  readonly settings?: Partial<StageSettings>
  /** Records in a batch at most. */
  readonly batchRecords?: number
  readonly timeoutMs?: number
}

/** One revision of a job in stages: the functions with their instances, and what invokes them. The uid of a source is the name of its stream. */
export class Stages {
  readonly deployment: Deployment
  readonly graph: JobGraph
  readonly control: JobControl
  readonly ports: StagePorts
  /** What invocations threw, in order. */
  readonly failures: unknown[] = []
  readonly options: StagesOptions
  /** A stage is at work. */
  invoking = false
  #define: (env: StreamExecutionEnvironment) => void
  #instances = new Map<string, StageSubtask>()
  #taken = new Map<string, number>()
  #attempt = 0

  constructor(
    readonly world: StageWorld,
    define: (env: StreamExecutionEnvironment) => void,
    options: StagesOptions = {},
  ) {
    this.#define = define
    const { name = 'job', revision = '1', parallelism = 1, timeoutMs = 60_000 } = options
    this.options = options
    this.deployment = { job: name, revision, plan: `plan of ${revision} at ${parallelism}` }
    this.graph = this.#describe().graph
    const prefix = `${name}/${revision}`
    this.ports = world.ports(prefix)
    for (const vertex of this.graph.vertices) {
      if (hasSource(vertex)) continue
      const stream = `${prefix}/${vertex.id}`
      if (!world.streams.has(stream)) world.streams.createForStage(stream, vertex.parallelism)
    }
    const sources = Object.fromEntries(this.graph.vertices.filter(hasSource).map(({ id }) => [id, id]))
    const fence = (attempt: number, subtasks: number) =>
      fenceSinks({ job: this.#describe(), name, parameters: NO_PARAMETERS, clock: this.ports.clock, attempt, subtasks })
    this.control = new JobControl({ deployment: this.deployment, graph: this.graph, sources, ports: this.ports, fenceSinks: fence, timeoutMs })
  }

  static async activated(...of: ConstructorParameters<typeof Stages>): Promise<Stages> {
    const stages = new Stages(...of)
    await stages.activate()
    return stages
  }

  #describe(): CompiledJob {
    const { name = 'job', parallelism = 1 } = this.options
    return compileJob(defineJob(name, this.#define), { parallelism, maxParallelism: 16 })
  }

  /** Begins an attempt; sources are read again from where their streams begin, since the log knows what counts. */
  async activate(options: Partial<ActivateOptions> = {}): Promise<void> {
    this.#attempt = (await this.world.wait(this.control.activate({ from: null, ...options }))).attempt
    this.crash()
    for (const { id } of this.graph.vertices.filter(hasSource)) {
      for (const { splitId } of this.world.streams.stream(id).splits()) this.#taken.delete(`${id}/${splitId}`)
    }
    await this.comeToRest()
  }

  /** The functions get other code for the same plan. */
  deploy(define: (env: StreamExecutionEnvironment) => void): void {
    this.#define = define
    this.crash()
  }

  /** All instances are gone. */
  crash(): void {
    this.#instances = new Map()
  }

  put(stream: string, split: string, ...values: readonly unknown[]): void {
    for (const value of values) this.putBytes(stream, split, new TextEncoder().encode(JSON.stringify(value)))
  }

  putBytes(stream: string, split: string, bytes: Uint8Array): void {
    this.world.streams.stream(stream).put(split, bytes, { arrivalMs: this.world.now })
  }

  /**
   * Everything is taken that is there, and every poke that is due. `tries`: how often a batch comes again that was thrown back, to a cold instance;
   * what the last of them throws is thrown here. `without`: stages that are not invoked.
   */
  async comeToRest({ tries = 1, without = [] }: { readonly tries?: number; readonly without?: readonly string[] } = {}): Promise<void> {
    const failed = new Map<string, number>()
    const again = (call: string, error: unknown) => {
      this.failures.push(error)
      failed.set(call, (failed.get(call) ?? 0) + 1)
      if ((failed.get(call) as number) >= tries) throw error
      this.crash()
    }
    for (let round = 0; ; round++) {
      if (round > MOST_ROUNDS) throw new Error('it does not come to rest')
      let busy = false
      for (const { id } of this.graph.vertices) {
        if (without.includes(id)) continue
        for (const subtask of this.subtasks(id)) {
          try {
            if (!(await this.takeBatch(id, subtask))) continue
            failed.delete(`batch ${id} ${subtask}`)
          } catch (error) {
            again(`batch ${id} ${subtask}`, error)
          }
          busy = true
        }
      }
      for (const { target, atMs } of this.world.pokes.take(this.world.now)) {
        if (without.includes(target.stage)) continue
        busy = true
        try {
          await this.invoke(target.stage, target.subtask, { kind: 'poke' })
          failed.delete(`poke ${target.stage} ${target.subtask}`)
        } catch (error) {
          again(`poke ${target.stage} ${target.subtask}`, error)
          await this.world.pokes.poke(target, atMs)
        }
      }
      if (!busy) return
    }
  }

  subtasks(stage: string): readonly string[] {
    return this.#stream(stage)
      .splits()
      .map(({ splitId }) => splitId)
  }

  #isSource(stage: string): boolean {
    return this.graph.vertices.some((vertex) => vertex.id === stage && hasSource(vertex))
  }

  #stream(stage: string) {
    const { job, revision } = this.deployment
    return this.world.streams.stream(this.#isSource(stage) ? stage : `${job}/${revision}/${stage}`)
  }

  /** False when there is none. Throws what the stage throws; the batch then comes again. */
  async takeBatch(stage: string, subtask: string): Promise<boolean> {
    const name = `${stage}/${subtask}`
    const from = this.#taken.get(name) ?? 0
    const records = this.#stream(stage)
      .records(subtask)
      .slice(from, from + (this.options.batchRecords ?? 10_000))
    if (records.length === 0) return false
    await this.invoke(stage, subtask, { kind: 'batch', records, ...(this.#isSource(stage) ? { attempt: this.#attempt } : {}) })
    this.#taken.set(name, from + records.length)
    return true
  }

  /** The records of the stage's stream come again, from this one on. */
  rewind(stage: string, subtask: string, to = 0): void {
    this.#taken.set(`${stage}/${subtask}`, to)
  }

  /** How many records of the stream were acknowledged. */
  acknowledged(stage: string, subtask: string): number {
    return this.#taken.get(`${stage}/${subtask}`) ?? 0
  }

  async poke(stage: string, subtask: string): Promise<void> {
    await this.invoke(stage, subtask, { kind: 'poke' })
  }

  async invoke(stage: string, subtask: string, call: StageCall): Promise<void> {
    this.invoking = true
    try {
      await this.world.wait(this.instance(stage, subtask).invoke(call))
    } finally {
      this.invoking = false
    }
  }

  /** The warm instance of the subtask. */
  instance(stage: string, subtask: string): StageSubtask {
    const name = `${stage}/${subtask}`
    const known = this.#instances.get(name)
    if (known !== undefined) return known
    const instance = this.anotherInstance(stage, subtask)
    this.#instances.set(name, instance)
    return instance
  }

  anotherInstance(stage: string, subtask: string, ports = this.ports): StageSubtask {
    const { deployment } = this
    const { settings = {} } = this.options
    return new StageSubtask({ deployment, describe: () => this.#describe(), stage, subtask, parameters: NO_PARAMETERS, ports, settings })
  }

  /** A checkpoint from begin to completion. */
  async checkpoint(kind: 'checkpoint' | 'savepoint' | 'stop' = 'checkpoint'): Promise<ManifestRef> {
    const begun = await this.control.begin(kind)
    if (begun.status === 'refused') throw new Error(begun.why)
    await this.comeToRest()
    const progress = await this.control.poll()
    if (progress.status !== 'completed') throw new Error(`the checkpoint is ${JSON.stringify(progress)}`)
    await this.comeToRest()
    return progress.ref
  }

  logName(stage: string, subtask: string): string {
    return subtaskLogName(this.deployment, stage, subtask)
  }

  /** The newest commit of the subtask. */
  async head(stage: string, subtask: string): Promise<CommitRecord & { readonly version: number }> {
    const log = this.logName(stage, subtask)
    const { item } = await this.world.log.head(log)
    if (item === undefined) throw new Error(`log ${log} is empty`)
    return { ...decodeCommit(log, item), version: item.version }
  }

  /** The state that the head's base says. */
  async base(stage: string, subtask: string): Promise<BaseState> {
    const { base } = await this.head(stage, subtask)
    const log = this.logName(stage, subtask)
    const item = (await this.world.log.read(log, base.version - 1)).items[0]
    const { state } = decodeCommit(log, item).base
    return state === null ? EMPTY_BASE : decodeBase(await loadPart(this.world.parts, log, item.version, state))
  }

  /** Every commit of the subtask that the log still has. */
  async commits(stage: string, subtask: string): Promise<readonly CommitRecord[]> {
    const log = this.logName(stage, subtask)
    return (await this.world.log.read(log, 0)).items.map((item) => decodeCommit(log, item))
  }
}

/** A source of JSON records; the uid is the stream's name. */
export function jsonStream<T>(env: StreamExecutionEnvironment, stream: string, strategy: WatermarkStrategy<T> = WatermarkStrategy.noWatermarks()) {
  const deserialize = (data: Uint8Array) => JSON.parse(new TextDecoder().decode(data)) as T
  return env.fromSource(kinesisSource({ stream, deserialize }), strategy).uid(stream).setParallelism(1)
}

/** What the call throws, which must be a MillraceError. */
export async function thrownBy(call: Promise<unknown>): Promise<MillraceError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof MillraceError) return error
  throw new Error(`no MillraceError was thrown, but ${String(error)}`)
}

export function sortedJson(values: readonly unknown[]): string[] {
  return values.map((value) => JSON.stringify(value)).sort()
}

export interface Scene {
  readonly world: StageWorld
  readonly stages: Stages
}

/**
 * Plays a scene again and again; each time the function dies at another of the port calls that its stages make in `act`, before or after the call has
 * its effect. `act` has to let batches come again (`tries`). Returns how many crashes there were.
 */
export async function crashEverywhere<S extends Scene>(
  prepare: () => Promise<S>,
  act: (scene: S) => Promise<void>,
  check: (scene: S, crash: string) => void | Promise<void>,
): Promise<number> {
  for (let crashes = 0, at = 0; ; at++) {
    for (const kind of ['throw-before', 'throw-after'] as const) {
      const scene = await prepare()
      let crash: string | undefined
      let calls = 0
      scene.world.fault = ({ port, operation, key }) => {
        if (!scene.stages.invoking || calls++ !== at) return undefined
        crash = `${kind} call ${at}: ${port}.${operation} ${key}`
        return { kind, error: new Error('the function dies here') }
      }
      await act(scene)
      await check(scene, crash ?? 'no crash')
      if (crash === undefined) return crashes
      crashes++
    }
  }
}
