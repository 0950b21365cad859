import { controlOf } from '../checkpoint/job-decisions.js'
import type { JobRecord, SubtaskControl } from '../checkpoint/job-record.js'
import type { JobGraph } from '../plan/index.js'
import { pack, unpack } from '../state/index.js'
import { type CommitRecord, decodeCommit } from './commit-record.js'
import type { StoredJob } from './job-log.js'
import { hasSource, innerOrdinal, splitOrdinal, subtaskLogName } from './stage-names.js'
import type { StagePorts } from './stage-ports.js'

/** A subtask as the coordinator knows it. */
export interface JobSubtask {
  readonly stage: string
  readonly subtask: string
  /** Of its acknowledgements. */
  readonly ordinal: number
  readonly isSource: boolean
  /** Its stage has a sink, which may wait for checkpoints to complete. */
  readonly hasSink: boolean
}

/** All subtasks without source, in topological order. */
export function innerSubtasks(graph: JobGraph): JobSubtask[] {
  return graph.vertices
    .filter((vertex) => !hasSource(vertex))
    .flatMap(({ id, parallelism, operators }) =>
      Array.from({ length: parallelism }, (_, index) => ({
        stage: id,
        subtask: String(index),
        ordinal: innerOrdinal(graph, id, index),
        isSource: false,
        hasSink: operators.some(({ isSink }) => isSink),
      })),
    )
}

/** Those and the registered splits. */
export function allSubtasks(graph: JobGraph, { sources }: JobRecord): JobSubtask[] {
  const splits = Object.entries(sources).flatMap(([stage, registered]) => {
    const hasSink = graph.vertices.find(({ id }) => id === stage)?.operators.some(({ isSink }) => isSink) === true
    return Object.entries(registered).map(([subtask, { ordinal }]) => ({
      stage,
      subtask,
      ordinal: splitOrdinal(graph, ordinal),
      isSource: true,
      hasSink,
    }))
  })
  return [...innerSubtasks(graph), ...splits]
}

/** The newest commit of a subtask, which is undefined when nothing was ever committed, and what it has been told. Throws LOG_CORRUPT. */
export async function readHead(
  { log: logs }: Pick<StagePorts, 'log'>,
  record: JobRecord,
  { stage, subtask }: JobSubtask,
): Promise<{ readonly head: CommitRecord | undefined; readonly told: SubtaskControl | undefined }> {
  const log = subtaskLogName(record, stage, subtask)
  const { item, control } = await logs.head(log)
  return { head: item && decodeCommit(log, item), told: control && (unpack(control.payload) as SubtaskControl) }
}

/**
 * Tells the subtasks of the job record, each by its log's control item, and pokes those of `poked`. A subtask that has been told something newer
 * stays with that. Returns for how many it was new.
 */
export async function tell(
  ports: Pick<StagePorts, 'log' | 'pokes' | 'clock'>,
  { record, serial }: StoredJob,
  subtasks: readonly JobSubtask[],
  poked: 'all' | 'told' | 'sinks',
): Promise<number> {
  const payload = pack(controlOf(record))
  let told = 0
  for (const { stage, subtask, hasSink } of subtasks) {
    // One after the other, so that a call that is cut short leaves one at most that was told and not poked.
    const outcome = await ports.log.putControl(subtaskLogName(record, stage, subtask), { serial, payload })
    if (outcome === 'won') told++
    if (poked === 'all' || (outcome === 'won' && (poked === 'told' || hasSink))) await ports.pokes.poke({ stage, subtask }, ports.clock.now())
  }
  return told
}
