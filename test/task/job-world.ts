import { MemoryBlobStore, MemoryCommitLog, MemoryPokes, MemorySourceStreams, MemoryStreams } from '../../runtime/backends/memory/index.js'
import { CheckpointStore, type SegmentRef } from '../../runtime/checkpoint/index.js'
import type { JobRecord, StageAck, SubtaskControl } from '../../runtime/checkpoint/job-record.js'
import type { EdgePlan, JobGraph, OperatorPlan, VertexPlan } from '../../runtime/plan/index.js'
import type { Successor } from '../../runtime/ports/index.js'
import { pack, unpack } from '../../runtime/state/index.js'
import { type BaseState, decodeBase, EMPTY_BASE, encodeBase } from '../../runtime/task/base-state.js'
import { type CommitRecord, decodeCommit, encodeCommit } from '../../runtime/task/commit-record.js'
import { JobControl, type JobControlOptions, type JobPorts } from '../../runtime/task/job-control.js'
import { allSubtasks, type JobSubtask } from '../../runtime/task/job-subtasks.js'
import { acksLogName, type Deployment, endedLogName, subtaskLogName } from '../../runtime/task/stage-names.js'
import { ManualClock } from '../../runtime/testing/manual-clock.js'

export const JOB = 'clicks'

function operator(uid: string, change: Partial<OperatorPlan> = {}): OperatorPlan {
  return { uid, uidGiven: true, name: uid, kind: 'map', keyed: false, isSource: false, isSink: false, chainedInputs: [], ...change }
}

function vertex(parallelism: number, operators: readonly OperatorPlan[]): VertexPlan {
  return { id: operators[0].uid, name: operators[0].uid, parallelism, maxParallelism: 128, slotSharingGroup: 'default', operators }
}

function edge(index: number, from: string, to: string, partitioning: EdgePlan['partitioning'], input: 0 | 1 = 0): EdgePlan {
  return { index, from, fromOperator: from, to, sideTag: null, input, partitioning }
}

/** clicks (source, tag) => count (keyed) -> out (sink), each with a subtask of its own. */
export function clicksGraph(parallelism = 2): JobGraph {
  return {
    job: JOB,
    vertices: [
      vertex(1, [operator('clicks', { kind: 'source', isSource: true }), operator('tag')]),
      vertex(parallelism, [operator('count', { keyed: true })]),
      vertex(parallelism, [operator('out', { isSink: true })]),
    ],
    edges: [edge(0, 'clicks', 'count', 'hash'), edge(1, 'count', 'out', 'forward')],
  }
}

/** Two sources that meet in one operator with two inputs. */
export function joinGraph(): JobGraph {
  return {
    job: JOB,
    vertices: [
      vertex(1, [operator('left', { kind: 'source', isSource: true })]),
      vertex(1, [operator('right', { kind: 'source', isSource: true })]),
      vertex(2, [operator('join', { keyed: true })]),
    ],
    edges: [edge(0, 'left', 'join', 'hash'), edge(1, 'right', 'join', 'hash', 1)],
  }
}

export interface PortCallSeen {
  readonly name: string
}

/** Throws at one call of the ports, before or after it has its effect. */
export class Crashes {
  calls = 0
  at = -1
  when: 'before' | 'after' = 'before'
  readonly seen: string[] = []

  wrap<T extends object>(name: string, port: T): T {
    return new Proxy(port, {
      get: (target, key) => {
        const method = Reflect.get(target, key)
        if (typeof method !== 'function') return method
        return async (...args: unknown[]) => {
          const call = this.calls++
          this.seen.push(`${name}.${String(key)}(${String(args[0])})`)
          if (call === this.at && this.when === 'before') throw new Crash()
          const result = await method.apply(target, args)
          if (call === this.at && this.when === 'after') throw new Crash()
          return result
        }
      },
    })
  }
}

export class Crash extends Error {}

/** A job's ports in memory, and its subtasks played by hand. */
export class JobWorld {
  readonly clock = new ManualClock(1_000)
  readonly log = new MemoryCommitLog()
  readonly blobs: MemoryBlobStore
  readonly parts = new MemoryBlobStore()
  readonly pokes = new MemoryPokes()
  readonly streams = new MemoryStreams()
  readonly checkpoints: CheckpointStore
  readonly crashes = new Crashes()
  readonly fenced: [number, number][] = []
  /** What is drawn, in [0, 1). */
  chance = 0
  #nonces = 0

  constructor(blobs = new MemoryBlobStore()) {
    this.blobs = blobs
    this.checkpoints = new CheckpointStore(blobs, { root: 'mem', newNonce: () => `n${++this.#nonces}` })
  }

  get ports(): JobPorts {
    const { clock, crashes } = this
    return {
      clock,
      log: crashes.wrap('log', this.log),
      parts: crashes.wrap('parts', this.parts),
      checkpoints: new CheckpointStore(crashes.wrap('blobs', this.blobs), { root: 'mem' }),
      pokes: crashes.wrap('pokes', this.pokes),
      streams: crashes.wrap('streams', new MemorySourceStreams(this.streams)),
      nonce: () => `p${++this.#nonces}`,
      random: () => this.chance,
      count: () => {},
    }
  }

  control(graph = clicksGraph(), revision = 'r1', change: Partial<JobControlOptions> = {}): JobControl {
    const deployment: Deployment = { job: graph.job, revision, plan: `plan-${revision}` }
    const sources = Object.fromEntries(graph.vertices.filter((v) => v.operators[0].isSource).map(({ id }) => [id, id]))
    const fenceSinks = async (attempt: number, writers: number) => void this.fenced.push([attempt, writers])
    return new JobControl({ deployment, graph, sources, ports: this.ports, fenceSinks, timeoutMs: 60_000, ...change })
  }

  async job(job = JOB): Promise<JobRecord> {
    return (await JobControl.read({ log: this.log }, job))?.record as JobRecord
  }

  async head(revision: string, stage: string, subtask: string, job = JOB): Promise<CommitRecord | undefined> {
    const log = subtaskLogName({ job, revision }, stage, subtask)
    const { item } = await this.log.head(log)
    return item && decodeCommit(log, item)
  }

  /** What the head's base says of keyed and operator state. */
  async base(revision: string, stage: string, subtask: string, job = JOB): Promise<BaseState> {
    const state = (await this.head(revision, stage, subtask, job))?.base.state ?? null
    return state === null ? EMPTY_BASE : decodeBase(state as Uint8Array)
  }

  async version(revision: string, stage: string, subtask: string): Promise<number> {
    return (await this.log.head(subtaskLogName({ job: JOB, revision }, stage, subtask))).item?.version ?? 0
  }

  async told(revision: string, stage: string, subtask: string, job = JOB): Promise<SubtaskControl | undefined> {
    const { control } = await this.log.head(subtaskLogName({ job, revision }, stage, subtask))
    return control && (unpack(control.payload) as SubtaskControl)
  }

  /** The subtask commits something. */
  async commit(revision: string, stage: string, subtask: string, change: Partial<CommitRecord>): Promise<void> {
    const log = subtaskLogName({ job: JOB, revision }, stage, subtask)
    const { item } = await this.log.head(log)
    if (item === undefined) throw new Error(`log ${log} is empty`)
    const record = { ...decodeCommit(log, item), kind: 'BATCH', ...change } as const
    await this.log.append(log, { version: item.version + 1, payload: encodeCommit(record) })
  }

  /** A segment that a subtask has written; its bytes are its name. */
  async segment(uid: string, subtask: number, checkpointId: number): Promise<SegmentRef> {
    return this.checkpoints.writeSegment(uid, subtask, checkpointId, new TextEncoder().encode(`${uid} ${subtask} ${checkpointId}`))
  }

  /** All needed subtasks acknowledge the pending checkpoint, but for `silent`. */
  async acknowledge(graph: JobGraph, change: (subtask: JobSubtask) => Partial<StageAck> = () => ({}), silent: readonly string[] = []): Promise<void> {
    const record = await this.job(graph.job)
    const { id, need } = record.pending as NonNullable<JobRecord['pending']>
    for (const subtask of allSubtasks(graph, record)) {
      if (!need.includes(subtask.ordinal) || silent.includes(subtask.subtask)) continue
      const ack = { ...(await this.ack(graph, record, subtask, id)), ...change(subtask) }
      await this.log.append(acksLogName(record, record.attempt, id), { version: subtask.ordinal, payload: acknowledgement(ack) })
    }
  }

  /** The subtask says that it has ended, at the epoch. */
  async end(graph: JobGraph, stage: string, name: string, epoch: number, successors: readonly Successor[] = []): Promise<void> {
    const record = await this.job(graph.job)
    const subtask = allSubtasks(graph, record).find((s) => s.stage === stage && s.subtask === name) as JobSubtask
    const ack = await this.ack(graph, record, subtask, epoch)
    const split = ack.split && { ...ack.split, successors }
    await this.log.append(endedLogName(record, record.attempt), {
      version: subtask.ordinal,
      payload: acknowledgement({ ...ack, split, ended: true }),
    })
  }

  private async ack(graph: JobGraph, { sources }: JobRecord, { stage, subtask, isSource }: JobSubtask, id: number): Promise<StageAck> {
    const index = isSource ? sources[stage][subtask].ordinal : Number(subtask)
    const { operators } = graph.vertices.find((v) => v.id === stage) as VertexPlan
    const states: StageAck['operators'][number][] = []
    for (const { uid, keyed, isSource: source } of operators) {
      const operatorState = keyed || source ? [] : [`${uid} of ${subtask}`]
      states.push({ uid, subtask: index, keyed: keyed ? [await this.segment(uid, index, id)] : [], operatorState })
    }
    return {
      checkpointId: id,
      stage,
      subtask,
      index,
      operators: states,
      split: isSource ? { splitId: subtask, position: `1${id}`, successors: [] } : null,
      ended: false,
    }
  }
}

function acknowledgement({ operators, ...head }: StageAck): Uint8Array {
  const keyed = new Map(operators.filter((state) => state.keyed.length > 0).map((state) => [state.uid, state.keyed]))
  const operatorStates = new Map(operators.map(({ uid, operatorState }) => [uid, operatorState]))
  return pack([pack(head), encodeBase({ keyed, operatorStates })])
}
