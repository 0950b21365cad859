import type { RestoredSplit } from '../checkpoint/split-restore.js'
import { MAX_WATERMARK, MIN_WATERMARK } from '../core/index.js'
import type { JobGraph, VertexPlan } from '../plan/index.js'
import type { Successor } from '../ports/index.js'
import { BLANK_COMMIT } from './blank-commit.js'
import type { CommitRecord, Part } from './commit-record.js'
import { type ChannelState, inputName } from './input-channels.js'
import type { WatermarkProgress } from './rising-output.js'
import { hasSource, innerOrdinal, splitOrdinal } from './stage-names.js'

/** Where a subtask begins in an attempt, but for its state. */
export interface SubtaskStart {
  readonly stage: string
  readonly subtask: string
  /** Index of the subtask, or ordinal of the split. */
  readonly index: number
  /** Its place among the subtasks of the stage, which finds its state in the restore plan. */
  readonly place: number
  /** Of its acknowledgements. */
  readonly ordinal: number
  readonly uids: readonly string[]
  /** All its input was processed before the checkpoint. */
  readonly ended: boolean
  readonly channels: Readonly<Record<string, ChannelState>>
  readonly inputs: readonly WatermarkProgress[]
  readonly origins: Readonly<Record<string, WatermarkProgress>>
  /** Of a source. */
  readonly split: RestoredSplit | null
}

const NOTHING_KNOWN: WatermarkProgress = { watermark: MIN_WATERMARK, idle: false }
const LIVE: ChannelState = { next: 1, ...NOTHING_KNOWN, successors: null }

function endedChannel(successors: readonly Successor[]): ChannelState {
  return { ...LIVE, successors }
}

/**
 * All subtasks of an attempt in topological order of their stages. `splits`: those of each source, by ordinal. Event time begins anew. A channel
 * of a split that had ended holds the place of the splits that wait for others of their parents; how far event time was when it ended is not
 * known any more, so it holds event time itself until then.
 */
export function planStarts(graph: JobGraph, splits: ReadonlyMap<string, readonly RestoredSplit[]>): readonly SubtaskStart[] {
  const starts = new Map<string, readonly SubtaskStart[]>()
  for (const vertex of graph.vertices) {
    const own = splits.get(vertex.id)
    starts.set(
      vertex.id,
      hasSource(vertex) ? (own ?? []).map((split, place) => splitStart(graph, vertex, split, place)) : innerStarts(graph, vertex, starts),
    )
  }
  return [...starts.values()].flat()
}

function splitStart(graph: JobGraph, vertex: VertexPlan, split: RestoredSplit, place: number): SubtaskStart {
  return {
    stage: vertex.id,
    subtask: split.splitId,
    index: split.ordinal,
    place,
    ordinal: splitOrdinal(graph, split.ordinal),
    uids: vertex.operators.map(({ uid }) => uid),
    ended: split.ended,
    channels: {},
    inputs: [],
    // A split that continues it begins where it stood.
    origins: Object.fromEntries(
      vertex.operators.filter(({ isSource, kind }) => isSource || kind === 'watermarks').map(({ uid }) => [uid, NOTHING_KNOWN]),
    ),
    split,
  }
}

function innerStarts(graph: JobGraph, vertex: VertexPlan, before: ReadonlyMap<string, readonly SubtaskStart[]>): readonly SubtaskStart[] {
  const edges = graph.edges.filter(({ to }) => to === vertex.id)
  const inputCount = edges.reduce((most, { input }) => Math.max(most, input + 1), 1)
  return Array.from({ length: vertex.parallelism }, (_, index): SubtaskStart => {
    const channels: Record<string, ChannelState> = {}
    const live = Array.from({ length: inputCount }, () => false)
    for (const { index: edge, from, input, partitioning } of edges) {
      for (const sender of before.get(from) ?? []) {
        if (sender.split === null && partitioning === 'forward' && sender.index !== index) continue
        const channel = sender.ended ? endedChannel(sender.split?.waiting ?? []) : LIVE
        channels[inputName(edge, sender.subtask)] = channel
        if (channel.successors === null || channel.successors.length > 0) live[input] = true
      }
    }
    return {
      stage: vertex.id,
      subtask: String(index),
      index,
      place: index,
      ordinal: innerOrdinal(graph, vertex.id, index),
      uids: vertex.operators.map(({ uid }) => uid),
      ended: !live.some((one) => one),
      channels,
      // An input that is over holds the other back no longer.
      inputs: live.map((one) => (one ? NOTHING_KNOWN : { watermark: MAX_WATERMARK, idle: false })),
      origins: {},
      split: null,
    }
  })
}

/** Of the attempt that begins. */
export interface ResetPlace {
  readonly plan: string
  readonly attempt: number
  /** The last checkpoint that was begun: the next one is behind it. */
  readonly epoch: number
  readonly atMs: number
}

/** Version `version` of a log whose newest is `head` (undefined: it has none, or is new): what a restore puts there. */
export function resetRecord(
  place: ResetPlace,
  start: SubtaskStart,
  /** What the subtask begins with, as a base holds it. */
  state: Part | null,
  head: CommitRecord | undefined,
  version: number,
): CommitRecord {
  const { split, index, channels, inputs, origins, ended } = start
  const blank = blankRecord(place, head, version)
  return {
    ...blank,
    plan: place.plan,
    life: ended ? 'ended' : 'running',
    // The stream between stages goes on where it was: what is in it of former attempts is passed over.
    position: split === null ? blank.position : split.position,
    index,
    channels,
    inputs,
    origins,
    successors: split?.successors ?? [],
    base: { ...blank.base, state },
  }
}

/** Takes a subtask out of the job. It keeps its position, for a restore that takes it back. */
export function retiredRecord(place: ResetPlace, head: CommitRecord | undefined, version: number): CommitRecord {
  return { ...blankRecord(place, head, version), life: 'retired', inputs: head?.inputs.map(() => NOTHING_KNOWN) ?? [] }
}

function blankRecord({ plan, attempt, epoch, atMs }: ResetPlace, head: CommitRecord | undefined, version: number): CommitRecord {
  return {
    ...BLANK_COMMIT,
    plan: head?.plan ?? plan,
    attempt,
    kind: 'RESET',
    life: 'running',
    position: head?.position ?? null,
    epoch,
    lastNow: head?.lastNow ?? Number.NEGATIVE_INFINITY,
    index: head?.index ?? 0,
    base: { version, atMs, state: null },
  }
}
