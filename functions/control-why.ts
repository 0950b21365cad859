import type { JobRecord } from '../runtime/checkpoint/job-record.js'
import { MillraceError } from '../runtime/core/index.js'
import { type JobGraph, type VertexPlan, vertexOf } from '../runtime/plan/index.js'
import type { CommitRecord } from '../runtime/task/commit-record.js'
import { inputName } from '../runtime/task/input-channels.js'
import { allSubtasks } from '../runtime/task/job-subtasks.js'
import { hasSource, subtaskLogName } from '../runtime/task/stage-names.js'
import { gapsOf, progressOf, type WatermarkAnswer, watermarkAnswer } from './control-status.js'
import type { DeployedControl } from './deployed-control.js'
import { type TimersOfKey, type TimersOfSubtask, timersOfKey, timersOfSubtask } from './pending-timers.js'
import { readTail, type SubtaskTail } from './subtask-tail.js'

/** What decides when an operator's timers and windows fire. Times are epoch ms. */
export interface WhyNotFiredAnswer {
  readonly job: string
  readonly uid: string
  readonly stage: string
  readonly phase: JobRecord['phase'] | 'never-activated'
  readonly timeMs: number
  /** Of the key that was asked for. */
  readonly key: TimersOfKey | null
  /** The subtask that holds the key, or all. */
  readonly subtasks: readonly WhySubtask[]
}

export interface WhySubtask {
  readonly subtask: string
  readonly life: CommitRecord['life']
  readonly watermark: WatermarkAnswer
  readonly idle: boolean
  readonly committedAtMs: number | null
  /** A watermark has come whose timers are still firing, commit after commit. */
  readonly firing: boolean
  /** When it will be poked for a processing timer. */
  readonly wakeAtMs: number | null
  /** Of all its keys; null when one key was asked for. */
  readonly timers: TimersOfSubtask | null
  readonly channels: readonly WhyChannel[]
  /** From the channel that holds its watermark back to the split of a source that does. */
  readonly heldBy: readonly WhySender[]
}

export interface WhyChannel {
  readonly input: number
  readonly stage: string
  readonly subtask: string
  readonly watermark: WatermarkAnswer
  readonly idle: boolean
  readonly ended: boolean
  /** No other channel that counts has a lower watermark. */
  readonly holds: boolean
  /** Frames that have come and cannot be consumed yet. */
  readonly waiting: number
  /** The frame that is missing before them. */
  readonly missing: number | null
  /** They lie behind the barrier of this checkpoint, which other channels have not reached. */
  readonly behindBarrier: number | null
}

export interface WhySender {
  readonly stage: string
  readonly subtask: string
  readonly isSource: boolean
  readonly life: CommitRecord['life'] | 'none'
  readonly watermark: WatermarkAnswer
  readonly idle: boolean
  readonly lastBatchAtMs: number | null
  /** Since when there was none, if `lastBatchAtMs` is null. */
  readonly baseAtMs: number | null
}

interface Question {
  readonly uid: string
  readonly keys?: readonly unknown[]
}

/** By stage and subtask. */
type Tails = ReadonlyMap<string, SubtaskTail>

/** Reads the logs of the operator's stage and of all before it. Throws OPTION_INVALID, CONTROL_REFUSED, KEY_INVALID. */
export async function whyNotFired(deployed: DeployedControl, { uid, keys }: Question): Promise<WhyNotFiredAnswer> {
  const { control, graph, ports, environment } = deployed
  const vertex = stageOf(graph, uid)
  const record = await control.record()
  const timeMs = ports.clock.now()
  const whose = { job: environment.job, uid, stage: vertex.id, timeMs }
  if (record === undefined) return { ...whose, phase: 'never-activated', key: null, subtasks: [] }
  if (record.revision !== environment.revision) throw otherRevision(record, environment.revision)
  const tails = await tailsOf(deployed, record)
  const logOf = (subtask: string) => subtaskLogName(record, vertex.id, subtask)
  const isKeyed = vertex.operators.some((operator) => operator.uid === uid && operator.keyed)
  if (keys !== undefined && !isKeyed)
    throw new MillraceError('OPTION_INVALID', { what: `operator "${uid}" is not keyed`, todo: 'Leave out the key.' })
  const key = keys === undefined ? null : await timersOfKey(ports, logOf, vertex, uid, keys)
  const wanted = allSubtasks(graph, record).filter(({ stage, subtask }) => stage === vertex.id && (key === null || key.subtask === subtask))
  const subtasks = wanted.map(async ({ subtask }): Promise<WhySubtask[]> => {
    const tail = tails.get(`${vertex.id}/${subtask}`)
    if (tail === undefined) return []
    const timers = key === null && isKeyed ? await timersOfSubtask(ports, logOf(subtask), uid, vertex.maxParallelism) : null
    return [{ ...subtaskFacts(graph, vertex, subtask, tail), timers, heldBy: heldBy(graph, tails, vertex, tail) }]
  })
  return { ...whose, phase: record.phase, key, subtasks: (await Promise.all(subtasks)).flat() }
}

async function tailsOf({ graph, ports }: DeployedControl, record: JobRecord): Promise<Tails> {
  const read = await Promise.all(
    allSubtasks(graph, record).map(async ({ stage, subtask }) => {
      return [`${stage}/${subtask}`, await readTail(ports, subtaskLogName(record, stage, subtask))] as const
    }),
  )
  return new Map(read.flatMap(([name, tail]) => (tail === undefined ? [] : [[name, tail] as const])))
}

function subtaskFacts(graph: JobGraph, vertex: VertexPlan, subtask: string, tail: SubtaskTail): Omit<WhySubtask, 'timers' | 'heldBy'> {
  const { head } = tail
  const { watermark, idle } = progressOf(vertex, head)
  return {
    subtask,
    life: head.life,
    watermark: watermarkAnswer(watermark),
    idle,
    committedAtMs: Number.isFinite(head.lastNow) ? head.lastNow : null,
    firing: head.sweep !== null,
    wakeAtMs: head.wakeAt,
    channels: channelsOf(graph, tail),
  }
}

function channelsOf(graph: JobGraph, { head, waiting }: SubtaskTail): WhyChannel[] {
  const gaps = new Set(gapsOf(waiting, head.channels))
  const least = leastByInput(graph, head)
  return Object.entries(head.channels).map(([name, { next, watermark, idle, successors }]) => {
    const { edge, from } = splitName(name)
    const { input, from: stage } = edgeOf(graph, edge)
    const own = waiting.filter((frame) => inputName(frame.edge, frame.from) === name)
    const front = own.find(({ seq }) => seq === next)
    const counts = !idle && (successors === null || successors.length > 0)
    return {
      input,
      stage,
      subtask: from,
      watermark: watermarkAnswer(watermark),
      idle,
      ended: successors !== null,
      holds: counts && watermark === least.get(input),
      waiting: own.length,
      missing: gaps.has(name) ? next : null,
      behindBarrier: front !== undefined && front.epoch > head.epoch ? front.epoch : null,
    }
  })
}

/** The least watermark of the channels that count, of each input. */
function leastByInput(graph: JobGraph, { channels }: CommitRecord): ReadonlyMap<number, number> {
  const least = new Map<number, number>()
  for (const [name, { watermark, idle, successors }] of Object.entries(channels)) {
    if (idle || successors?.length === 0) continue
    const { input } = edgeOf(graph, splitName(name).edge)
    least.set(input, Math.min(least.get(input) ?? Number.POSITIVE_INFINITY, watermark))
  }
  return least
}

/** From sender to sender, each time to the one with the least watermark, as far as a source. */
function heldBy(graph: JobGraph, tails: Tails, vertex: VertexPlan, tail: SubtaskTail): WhySender[] {
  const senders: WhySender[] = []
  let at: { readonly vertex: VertexPlan; readonly tail: SubtaskTail } | undefined = { vertex, tail }
  while (at !== undefined && !hasSource(at.vertex)) {
    const slowest = slowestOf(graph, at.tail.head)
    if (slowest === undefined) break
    const next = vertexOf(graph, slowest.stage)
    const found = tails.get(`${slowest.stage}/${slowest.subtask}`)
    senders.push(senderOf(next, slowest.subtask, found))
    at = found === undefined ? undefined : { vertex: next, tail: found }
  }
  return senders
}

/** Of the channels that count the one with the least watermark. */
function slowestOf(graph: JobGraph, { channels }: CommitRecord): { readonly stage: string; readonly subtask: string } | undefined {
  const live = Object.entries(channels).filter(([, { idle, successors }]) => !idle && successors?.length !== 0)
  const [slowest] = live.sort(([, a], [, b]) => (a.watermark < b.watermark ? -1 : 1))
  if (slowest === undefined) return undefined
  const { edge, from } = splitName(slowest[0])
  return { stage: edgeOf(graph, edge).from, subtask: from }
}

function senderOf(vertex: VertexPlan, subtask: string, tail: SubtaskTail | undefined): WhySender {
  const whose = { stage: vertex.id, subtask, isSource: hasSource(vertex) }
  if (tail === undefined) return { ...whose, life: 'none', watermark: null, idle: false, lastBatchAtMs: null, baseAtMs: null }
  const { head, lastBatchAtMs } = tail
  const { watermark, idle } = progressOf(vertex, head)
  return { ...whose, life: head.life, watermark: watermarkAnswer(watermark), idle, lastBatchAtMs, baseAtMs: head.base.atMs }
}

function splitName(name: string): { readonly edge: number; readonly from: string } {
  const colon = name.indexOf(':')
  return { edge: Number(name.slice(0, colon)), from: name.slice(colon + 1) }
}

function edgeOf({ edges }: JobGraph, index: number): JobGraph['edges'][number] {
  return edges.find((edge) => edge.index === index) as JobGraph['edges'][number]
}

function stageOf(graph: JobGraph, uid: string): VertexPlan {
  const vertex = graph.vertices.find(({ operators }) => operators.some((operator) => operator.uid === uid))
  if (vertex !== undefined) return vertex
  const uids = graph.vertices.flatMap(({ operators }) => operators.map((operator) => `"${operator.uid}"`))
  throw new MillraceError('OPTION_INVALID', { what: `the job has no operator with the uid "${uid}"`, todo: `Give one of ${uids.join(', ')}.` })
}

function otherRevision({ job, revision }: JobRecord, own: string): MillraceError {
  return new MillraceError('CONTROL_REFUSED', {
    what: `revision "${revision}" of job "${job}" is active, and the function knows the operators of revision "${own}"`,
    todo: 'Wait until the deployment is through, or call the version of the function that belongs to the active revision (--function).',
  })
}
