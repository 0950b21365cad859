import { missingAcks } from '../runtime/checkpoint/job-decisions.js'
import type { JobRecord, ManifestRef, PendingStageCheckpoint } from '../runtime/checkpoint/job-record.js'
import { type Manifest, segmentsOf } from '../runtime/checkpoint/manifest.js'
import { MillraceError } from '../runtime/core/index.js'
import type { VertexPlan } from '../runtime/plan/index.js'
import type { CommitRecord } from '../runtime/task/commit-record.js'
import { inputName } from '../runtime/task/input-channels.js'
import { allSubtasks, type JobSubtask } from '../runtime/task/job-subtasks.js'
import type { WatermarkProgress } from '../runtime/task/rising-output.js'
import { loadAck } from '../runtime/task/stage-acks.js'
import { acksLogName, endedLogName, hasSource, subtaskLogName } from '../runtime/task/stage-names.js'
import type { DeployedControl } from './deployed-control.js'
import { readTail, type SubtaskTail, type WaitingFrame } from './subtask-tail.js'

/** How a deployed job does. Times are epoch ms. */
export interface JobStatusAnswer {
  readonly job: string
  /** That is active: of the job record. Null for a job that was never activated. */
  readonly revision: string | null
  /** Of the function that answers. Of another revision it knows no stages. */
  readonly ownRevision: string
  readonly attempt: number
  readonly phase: JobRecord['phase'] | 'never-activated'
  readonly timeMs: number
  /** What the attempt began with. */
  readonly from: ManifestRef | null
  readonly pending: PendingAnswer | null
  readonly lastCompleted: CompletedAnswer | null
  readonly lastAborted: { readonly id: number; readonly why: string } | null
  /** In topological order. */
  readonly stages: readonly StageAnswer[]
}

export interface PendingAnswer extends Omit<PendingStageCheckpoint, 'need'> {
  readonly needed: number
  /** Who has not acknowledged it. */
  readonly missing: readonly { readonly stage: string; readonly subtask: string }[]
}

export interface CompletedAnswer {
  readonly id: number
  readonly kind: Manifest['kind']
  readonly path: string
  /** When it was begun. */
  readonly createdAtMs: number
  /** Of its segments. */
  readonly bytes: number
}

export interface StageAnswer {
  readonly stage: string
  readonly name: string
  readonly isSource: boolean
  readonly operators: readonly string[]
  readonly subtasks: readonly SubtaskAnswer[]
}

export interface SubtaskAnswer {
  /** Its index, or the name of the source's split. */
  readonly subtask: string
  /** `none`: it has no log. */
  readonly life: CommitRecord['life'] | 'none'
  readonly attempt: number
  /** Of its log. */
  readonly version: number
  /** In the stream that it reads; decimal, or null before the first record. */
  readonly position: string | null
  /** The last checkpoint whose barrier it has passed. */
  readonly epoch: number
  readonly watermark: WatermarkAnswer
  readonly idle: boolean
  readonly committedAtMs: number | null
  /** When it last took a batch; null when that was before `baseAtMs`. */
  readonly lastBatchAtMs: number | null
  readonly baseAtMs: number | null
  /** What has come and waits; `gaps`: channels of which a frame is missing. */
  readonly stash: { readonly frames: number; readonly bytes: number; readonly gaps: number }
}

/** Epoch ms; null: none yet; `end`: all input is over. */
export type WatermarkAnswer = number | 'end' | null

export function watermarkAnswer(watermark: number): WatermarkAnswer {
  if (watermark === Number.POSITIVE_INFINITY) return 'end'
  return watermark === Number.NEGATIVE_INFINITY ? null : watermark
}

export async function jobStatus(deployed: DeployedControl): Promise<JobStatusAnswer> {
  const { control, environment, graph, ports } = deployed
  const timeMs = ports.clock.now()
  const record = await control.record()
  const whose = { job: environment.job, ownRevision: environment.revision, timeMs }
  if (record === undefined) {
    const nothing = { revision: null, attempt: 0, from: null, pending: null, lastCompleted: null, lastAborted: null, stages: [] }
    return { ...whose, ...nothing, phase: 'never-activated' }
  }
  const { revision, attempt, phase, from, aborted, abortedWhy } = record
  const own = revision === environment.revision
  const subtasks = own ? allSubtasks(graph, record) : []
  return {
    ...whose,
    revision,
    attempt,
    phase,
    from,
    pending: record.pending === null ? null : await pendingAnswer(deployed, record, record.pending, subtasks),
    lastCompleted: record.completed === 0 ? null : await completedAnswer(deployed, record.completed),
    lastAborted: aborted === 0 ? null : { id: aborted, why: abortedWhy ?? '' },
    stages: own ? await Promise.all(graph.vertices.map((vertex) => stageAnswer(deployed, record, vertex, subtasks))) : [],
  }
}

async function pendingAnswer(
  { ports }: DeployedControl,
  { job, revision, attempt }: JobRecord,
  pending: PendingStageCheckpoint,
  subtasks: readonly JobSubtask[],
): Promise<PendingAnswer> {
  const { id, kind, startedAtMs, completing, need } = pending
  const acks = await ports.log.read(acksLogName({ job, revision }, attempt, id), 0)
  const endedLog = endedLogName({ job, revision }, attempt)
  const { items } = await ports.log.read(endedLog, 0)
  const ended = await Promise.all(
    items.map(async (item) => [item.version, (await loadAck({ blobs: ports.parts, log: endedLog }, item)).checkpointId] as const),
  )
  const missing = new Set(completing ? [] : missingAcks(pending, new Set(acks.items.map(({ version }) => version)), new Map(ended)))
  const silent = subtasks.filter(({ ordinal }) => missing.has(ordinal)).map(({ stage, subtask }) => ({ stage, subtask }))
  return { id, kind, startedAtMs, completing, needed: need.length, missing: silent }
}

/** Null when its manifest is not in the job's folder any more, or never was. */
async function completedAnswer({ ports: { checkpoints } }: DeployedControl, id: number): Promise<CompletedAnswer | null> {
  try {
    return completed(await checkpoints.load(id), checkpoints.root)
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'CHECKPOINT_NOT_FOUND') return null
    throw error
  }
}

export function completed(manifest: Manifest, root: string): CompletedAnswer {
  const { checkpointId: id, kind, createdAtMs } = manifest
  return { id, kind, path: `${root}/chk-${id}`, createdAtMs, bytes: segmentsOf(manifest).reduce((sum, { bytes }) => sum + bytes, 0) }
}

async function stageAnswer({ ports }: DeployedControl, record: JobRecord, vertex: VertexPlan, subtasks: readonly JobSubtask[]): Promise<StageAnswer> {
  const own = subtasks.filter(({ stage }) => stage === vertex.id)
  return {
    stage: vertex.id,
    name: vertex.name,
    isSource: hasSource(vertex),
    operators: vertex.operators.map(({ uid }) => uid),
    subtasks: await Promise.all(
      own.map(async ({ stage, subtask }) => subtaskAnswer(vertex, subtask, await readTail(ports, subtaskLogName(record, stage, subtask)))),
    ),
  }
}

function subtaskAnswer(vertex: VertexPlan, subtask: string, tail: SubtaskTail | undefined): SubtaskAnswer {
  if (tail === undefined) {
    const nothing = { attempt: 0, version: 0, position: null, epoch: 0, watermark: null, idle: false, committedAtMs: null }
    return { subtask, life: 'none', ...nothing, lastBatchAtMs: null, baseAtMs: null, stash: { frames: 0, bytes: 0, gaps: 0 } }
  }
  const { version, head, lastBatchAtMs } = tail
  const { watermark, idle } = progressOf(vertex, head)
  return {
    subtask,
    life: head.life,
    attempt: head.attempt,
    version,
    position: head.position,
    epoch: head.epoch,
    watermark: watermarkAnswer(head.life === 'ended' ? Number.POSITIVE_INFINITY : watermark),
    idle,
    committedAtMs: Number.isFinite(head.lastNow) ? head.lastNow : null,
    lastBatchAtMs,
    baseAtMs: head.base.atMs,
    stash: stashAnswer(tail),
  }
}

/** How far event time is in a subtask: what its last maker of watermarks has said, or what its inputs have. */
export function progressOf({ operators }: VertexPlan, { origins, inputs, head }: CommitRecord): WatermarkProgress {
  const nothing = { watermark: Number.NEGATIVE_INFINITY, idle: false }
  if (inputs.length > 0) return head ?? inputs[0] ?? nothing
  const maker = operators.findLast(({ uid }) => origins[uid] !== undefined)
  return maker === undefined ? nothing : origins[maker.uid]
}

function stashAnswer({ waiting, head: { channels } }: SubtaskTail): SubtaskAnswer['stash'] {
  const bytes = waiting.reduce((sum, frame) => sum + frame.bytes, 0)
  return { frames: waiting.length, bytes, gaps: gapsOf(waiting, channels).length }
}

/** Channels of which frames have come, but not the one that is next. */
export function gapsOf(waiting: readonly WaitingFrame[], channels: CommitRecord['channels']): readonly string[] {
  const names = new Set(waiting.map(({ edge, from }) => inputName(edge, from)))
  for (const { edge, from, seq } of waiting) {
    const name = inputName(edge, from)
    if (seq === (channels[name]?.next ?? 1)) names.delete(name)
  }
  return [...names]
}
