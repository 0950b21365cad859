import { inspect } from 'node:util'
import { CheckpointStore } from '../runtime/checkpoint/index.js'
import { restricted } from '../runtime/checkpoint/keyed-restore.js'
import type { SegmentRef } from '../runtime/checkpoint/manifest.js'
import { vertexOf } from '../runtime/plan/index.js'
import {
  type DecodedSegment,
  decodeSegment,
  type KeyedStateBackend,
  type KeyGroupRange,
  keyGroupRange,
  mergeSegments,
} from '../runtime/state/index.js'
import { type BaseState, decodeBase, EMPTY_BASE } from '../runtime/task/base-state.js'
import { BatchProcessingTime } from '../runtime/task/batch-processing-time.js'
import { type CommitRecord, partOf } from '../runtime/task/commit-record.js'
import { LiveStage } from '../runtime/task/live-stage.js'
import { subtaskLogName } from '../runtime/task/stage-names.js'
import { READ_WHOLE, recover } from '../runtime/task/stage-recovery.js'
import { type Job, PARAMETERS } from './job.js'

/** Keyed state of a subtask as base and log have it, by operator; each as text. */
export interface ColdState {
  readonly version: number
  readonly states: ReadonlyMap<string, string>
}

/** Every subtask of the revision that runs, by its log, opened from that alone. */
export async function coldStates(job: Job): Promise<ReadonlyMap<string, ColdState>> {
  const { deployment, graph } = job.revision
  const states = new Map<string, ColdState>()
  for (const { id } of graph.vertices) {
    const prefix = subtaskLogName(deployment, id, '')
    for (const log of [...job.observer.logs.keys()].filter((name) => name.startsWith(prefix))) {
      const cold = await coldState(job, log)
      if (cold !== undefined) states.set(log, cold)
    }
  }
  return states
}

/** Base and log replayed are what instances had in memory when they wrote the next base (invariant 10). */
export function compareWithMemory(job: Job, cold: ReadonlyMap<string, ColdState>): void {
  for (const [log, { version, states }] of cold) {
    const { record, version: newest } = job.observer.logs.get(log) ?? {}
    if (record === undefined || newest !== version + 1 || record.base.version !== newest || record.kind === 'RESET') continue
    // An input that became idle has moved event time in front of the barrier, and what fired is gone from the base.
    if (record.deltas.length > 0) continue
    const { keyed } = baseOf(job, record)
    for (const uid of new Set([...states.keys(), ...keyed.keys()])) {
      const warm = rowsOf((keyed.get(uid) ?? []).map((ref) => segmentOf(job, ref, ownKeyGroups(job, log))))
      job.world.checks.hold(
        '10',
        warm === (states.get(uid) ?? ''),
        () => `${log}: state of ${uid} in memory is\n${warm}\nand from the log\n${states.get(uid)}`,
      )
    }
  }
}

function baseOf({ world }: Job, { base: { state } }: CommitRecord): BaseState {
  if (state === null) return EMPTY_BASE
  return decodeBase(state instanceof Uint8Array ? state : (partOf(world.blobs.look(state.name) as Uint8Array, state) as Uint8Array))
}

function stageAndSubtask(log: string): [stage: string, subtask: string] {
  return log.split('/').slice(-2) as [string, string]
}

/** Segments from before a rescaling hold the key groups of other subtasks too, which nobody reads from here. */
function ownKeyGroups({ revision }: Job, log: string): KeyGroupRange {
  const [stage, subtask] = stageAndSubtask(log)
  const { maxParallelism, parallelism } = vertexOf(revision.graph, stage)
  return keyGroupRange(Number(subtask), maxParallelism, parallelism)
}

function segmentOf({ checkpoints }: Job, { name, inline, keyGroups }: SegmentRef, own: KeyGroupRange): DecodedSegment {
  return restricted(restricted(decodeSegment(inline ?? (checkpoints.look(name) as Uint8Array), name), keyGroups), own)
}

/** Opens a subtask from its log alone, as a new instance does; nothing is written and no time passes. Undefined when it has no log. */
async function coldState(job: Job, log: string): Promise<ColdState | undefined> {
  const { world } = job
  const ports = { log: world.log.inner, parts: world.blobs, checkpoints: new CheckpointStore(job.checkpoints) }
  const { item } = await ports.log.head(log)
  if (item === undefined) return undefined
  const recovered = await recover(ports, log, item, READ_WHOLE)
  const [stage, subtask] = stageAndSubtask(log)
  const compiled = job.describe(job.synth, job.revision.parallelism)
  const time = new BatchProcessingTime({ now: () => world.now, monotonic: () => world.now })
  time.beginAt(recovered.head.lastNow)
  const vertex = vertexOf(compiled.graph, stage)
  const packing = { compression: world.compression, frameBytes: world.settings.frameBytes }
  const live = await LiveStage.open(
    { job: compiled, vertex, subtask, parameters: PARAMETERS, time, packing, random: () => 0.5, count: () => {} },
    recovered,
  )
  const states = new Map([...live.backends].map(([uid, backend]) => [uid, rowsOf(wholeOf(backend))]))
  await live.close()
  return { version: recovered.version, states }
}

function wholeOf(backend: KeyedStateBackend): readonly DecodedSegment[] {
  const bytes = backend.snapshotAll()
  return bytes === undefined ? [] : [decodeSegment(bytes, 'the state of a backend')]
}

/** What segments say one after the other, in an order of its own, as text. */
function rowsOf(segments: readonly DecodedSegment[]): string {
  const merged = mergeSegments(segments, { first: 0, last: Number.MAX_SAFE_INTEGER }, { bottom: true, sweptTo: Number.NEGATIVE_INFINITY })
  if (merged === undefined) return ''
  const { header, blocks } = decodeSegment(merged, 'merged segments')
  const rows: string[] = []
  for (const { keyGroup, block } of blocks(0, Number.MAX_SAFE_INTEGER)) {
    const { state, keys, namespaces, values } = block
    for (let i = 0; i < keys.length; i++) rows.push(`${keyGroup} ${header.states[state].name} ${text([keys[i], namespaces[i], values[i]])}`)
  }
  return rows.sort().join('\n')
}

function text(value: unknown): string {
  return inspect(value, { depth: null, sorted: true, maxArrayLength: null, maxStringLength: null, breakLength: Number.POSITIVE_INFINITY })
}
