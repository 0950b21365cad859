import { assert, MIN_WATERMARK, MillraceError } from '../core/index.js'
import { decodeFrame, type Frame } from '../exchange/frame.js'
import type { RecordBatch } from '../exchange/index.js'
import { type JobGraph, type VertexPlan, vertexOf } from '../plan/index.js'
import type { WatermarkProgress } from './rising-output.js'

/** What the log knows of an input channel. */
export interface ChannelState extends WatermarkProgress {
  /** seq of the frame to consume next. */
  readonly next: number
}

export interface InputListener {
  processBatch(batch: RecordBatch): void
  processWatermark(watermark: number): void
  processStatus(idle: boolean): void
}

interface Channel {
  next: number
  watermark: number
  idle: boolean
  /** Frames that came early, and those behind a barrier that other channels have not reached, by seq. */
  readonly stash: Map<number, { readonly frame: Frame; readonly bytes: Uint8Array }>
}

/**
 * The channels from other stages into one subtask.
 *
 * I1  A channel's frames are consumed in the order of their seq, each once, whatever order they come in and how often.
 * I2  A frame of a later epoch is consumed only after the cut at that epoch, and the cut comes when every channel's next frame is of a later
 *     epoch: the state at the cut holds exactly what was sent before the barrier.
 * I3  The watermark is the least of the channels that are active and have caught up with it (Flink's valve); it never goes back.
 */
export class InputChannels {
  epoch: number
  #progress: WatermarkProgress
  readonly #channels = new Map<string, Channel>()
  /** Frames taken in since the last `takeStashed`. */
  #arrived: { readonly channel: Channel; readonly seq: number; readonly bytes: Uint8Array }[] = []

  constructor(
    readonly graph: JobGraph,
    readonly vertex: VertexPlan,
    readonly subtask: number,
    readonly attempt: number,
    epoch: number,
    progress: WatermarkProgress,
    known: Readonly<Record<string, ChannelState>>,
    readonly listener: InputListener,
  ) {
    this.epoch = epoch
    this.#progress = progress
    for (const edge of graph.edges.filter((e) => e.to === vertex.id)) {
      const all = vertexOf(graph, edge.from).parallelism
      const senders = edge.partitioning === 'forward' ? [subtask] : Array.from({ length: all }, (_, i) => i)
      for (const from of senders) {
        const name = inputName(edge.index, from)
        this.#channels.set(name, { ...(known[name] ?? { next: 1, watermark: MIN_WATERMARK, idle: false }), stash: new Map() })
      }
    }
  }

  /** Of the input as a whole. */
  get progress(): WatermarkProgress {
    return this.#progress
  }

  get states(): Record<string, ChannelState> {
    return Object.fromEntries([...this.#channels].map(([name, { next, watermark, idle }]) => [name, { next, watermark, idle }]))
  }

  /** Takes a frame in; false when it has been seen before. Throws FRAME_CORRUPT, BATCH_REFUSED (a frame of a later attempt). */
  accept(bytes: Uint8Array, where: string): boolean {
    const frame = decodeFrame(bytes, where)
    if (frame.attempt < this.attempt) return false
    if (frame.attempt > this.attempt) throw laterAttempt(frame, this.attempt, where)
    const channel = this.#channels.get(inputName(frame.edge, frame.from))
    if (channel === undefined || frame.to !== this.subtask) throw misrouted(frame, this.vertex, this.subtask, where)
    if (frame.seq < channel.next || channel.stash.has(frame.seq)) return false
    const kept = bytes.slice()
    channel.stash.set(frame.seq, { frame, bytes: kept })
    this.#arrived.push({ channel, seq: frame.seq, bytes: kept })
    return true
  }

  /** Consumes what can be; the epoch to cut at when every channel has reached its barrier. */
  drain(): { readonly consumed: number; readonly cut: number | undefined } {
    let consumed = 0
    for (let before = -1; before !== consumed; ) {
      before = consumed
      for (const channel of this.#channels.values()) {
        for (
          let front = channel.stash.get(channel.next);
          front !== undefined && front.frame.epoch <= this.epoch;
          front = channel.stash.get(channel.next)
        ) {
          channel.stash.delete(channel.next)
          channel.next++
          consumed++
          this.#consume(channel, front.frame)
        }
      }
    }
    return { consumed, cut: this.#aligned() }
  }

  #aligned(): number | undefined {
    let least = Number.POSITIVE_INFINITY
    for (const channel of this.#channels.values()) {
      const front = channel.stash.get(channel.next)
      if (front === undefined) return undefined
      least = Math.min(least, front.frame.epoch)
    }
    assert(least > this.epoch, 'what is of this epoch is consumed before alignment')
    return least === Number.POSITIVE_INFINITY ? undefined : least
  }

  #consume(channel: Channel, frame: Frame): void {
    for (const element of frame.elements) {
      if (!('kind' in element)) this.listener.processBatch(element)
      else if (element.kind === 'watermark') this.#advance(channel, element.watermark, channel.idle)
      else this.#advance(channel, channel.watermark, element.idle)
    }
    this.#advance(channel, frame.watermark, frame.idle)
  }

  #advance(channel: Channel, watermark: number, idle: boolean): void {
    if (watermark <= channel.watermark && idle === channel.idle) return
    channel.watermark = Math.max(channel.watermark, watermark)
    channel.idle = idle
    const before = this.#progress
    this.#progress = combine(before, [...this.#channels.values()])
    if (before.idle && !this.#progress.idle) this.listener.processStatus(false)
    if (this.#progress.watermark > before.watermark) this.listener.processWatermark(this.#progress.watermark)
    if (!before.idle && this.#progress.idle) this.listener.processStatus(true)
  }

  /** Frames to write to the log: those that came since the last call and still wait, or all that wait (`whole`, for a new base). */
  takeStashed(whole: boolean): Uint8Array[] {
    const arrived = this.#arrived.filter(({ channel, seq }) => channel.stash.has(seq)).map(({ bytes }) => bytes)
    this.#arrived = []
    return whole ? [...this.#channels.values()].flatMap(({ stash }) => [...stash.values()].map(({ bytes }) => bytes)) : arrived
  }
}

function inputName(edge: number, from: number): string {
  return `${edge}:${from}`
}

/** When all channels are idle nothing holds back what the furthest has reached. */
function combine({ watermark }: WatermarkProgress, channels: readonly WatermarkProgress[]): WatermarkProgress {
  const idle = channels.every((channel) => channel.idle)
  if (idle) return { watermark: channels.reduce((greatest, channel) => Math.max(greatest, channel.watermark), watermark), idle }
  // Active and behind what was said already: it was idle while the others went on, and does not hold them back until it has caught up.
  const caughtUp = channels.filter((channel) => !channel.idle && channel.watermark >= watermark)
  if (caughtUp.length === 0) return { watermark, idle }
  return { watermark: caughtUp.reduce((least, channel) => Math.min(least, channel.watermark), Number.POSITIVE_INFINITY), idle }
}

function laterAttempt(frame: Frame, attempt: number, where: string): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: `a frame of attempt ${frame.attempt} came to a subtask of attempt ${attempt}`,
    where,
    todo: 'The batch comes again until this subtask has been restored too.',
  })
}

function misrouted(frame: Frame, vertex: VertexPlan, subtask: number, where: string): MillraceError {
  return new MillraceError('FRAME_CORRUPT', {
    what: `a frame of edge ${frame.edge} from subtask ${frame.from} to subtask ${frame.to} came to stage "${vertex.id}", subtask ${subtask}`,
    where,
    todo: 'The stream must have one shard for each subtask, and only the stages before this one may write to it.',
  })
}
