import { assert, MAX_WATERMARK, MIN_WATERMARK, MillraceError } from '../core/index.js'
import { encodeFrame, type Frame, type FrameElement } from '../exchange/frame.js'
import { type ChannelSender, RecordBatch, type StreamElement } from '../exchange/index.js'
import type { Compression, Successor } from '../ports/index.js'
import type { OutputState } from './commit-record.js'
import type { WatermarkProgress } from './rising-output.js'

/** A record of a stream holds 1 MiB; some of it is kept free for its partition key. */
const LARGEST_FRAME_BYTES = 1024 * 1024 - 1024

export type ChannelAddress = Pick<Frame, 'attempt' | 'edge' | 'from' | 'to'>

type FrameEnd = Pick<Frame, 'stop' | 'end'>
const GOES_ON: FrameEnd = { stop: false, end: null }

export interface FramePacking {
  readonly compression: Compression | undefined
  /** A frame with more bytes is divided, as far as it has more than one record. */
  readonly frameBytes: number
}

/** When a channel may be told of a watermark that no record comes with. */
export interface WatermarkPace {
  readonly now: number
  readonly intervalMs: number
}

/** The sending end of a channel to another stage: gathers what a commit has for it, then packs it in frames. */
export class FrameSender implements ChannelSender {
  readonly writable = true
  bytes = 0
  #elements: FrameElement[] = []
  /** Of the channel behind the frames that were closed. */
  #told: WatermarkProgress
  #nextSeq: number
  #lastFrameMs = Number.NEGATIVE_INFINITY

  constructor(
    readonly address: ChannelAddress,
    known: OutputState | undefined,
    readonly packing: FramePacking,
  ) {
    this.#nextSeq = known?.next ?? 1
    this.#told = { watermark: known?.watermark ?? MIN_WATERMARK, idle: known?.idle ?? false }
  }

  get state(): OutputState {
    return { next: this.#nextSeq, watermark: this.#told.watermark, idle: this.#told.idle }
  }

  send(element: StreamElement): void {
    if (!(element instanceof RecordBatch)) {
      assert(element.kind === 'watermark' || element.kind === 'status', 'barriers and ends of stages are in the heads of frames')
      // Of watermarks in a row only the last says anything.
      if (element.kind === 'watermark' && isWatermark(this.#elements.at(-1))) this.#elements.pop()
    }
    this.#elements.push(element as FrameElement)
  }

  /** A subtask was opened again and said once more where it stands: what the receiver has been told is not told twice. */
  forgetTold(): void {
    const { watermark, idle } = progressBehind(this.#elements, { watermark: MIN_WATERMARK, idle: false })
    this.#elements = []
    if (watermark > this.#told.watermark) this.#elements.push({ kind: 'watermark', watermark })
    if (idle !== this.#told.idle) this.#elements.push({ kind: 'status', idle })
  }

  /** Frames with everything gathered so far, none when nothing was, or when it is only a watermark that can wait. Throws RECORD_UNSERIALISABLE. */
  close(epoch: number, pace?: WatermarkPace): Uint8Array[] {
    if (this.#elements.length === 0 || (pace !== undefined && this.heldUntil(pace) > pace.now)) return []
    if (pace !== undefined) this.#lastFrameMs = pace.now
    const elements = this.#elements
    this.#elements = []
    return this.#frames(elements, epoch, GOES_ON)
  }

  /** Until when what was gathered can wait; -Infinity when it cannot, or when there is nothing. */
  heldUntil({ intervalMs }: WatermarkPace): number {
    const [only] = this.#elements
    const canWait = intervalMs > 0 && this.#elements.length === 1 && isWatermark(only) && only.watermark !== MAX_WATERMARK && !this.#told.idle
    return canWait ? this.#lastFrameMs + intervalMs : Number.NEGATIVE_INFINITY
  }

  /** An empty frame: the barrier of `epoch`, behind all that was closed before. */
  barrier(epoch: number, stop: boolean): Uint8Array[] {
    assert(this.#elements.length === 0, 'frames are closed before a barrier')
    return this.#frames([], epoch, { stop, end: null })
  }

  /** The first frame of a sender that begins at a barrier: what is known of the channel stands in it. */
  hello(epoch: number, stop: boolean): Uint8Array[] {
    const elements = this.#elements
    this.#elements = []
    return this.#frames(elements, epoch, { stop, end: null })
  }

  /** The end of the channel, behind everything gathered. */
  end(epoch: number, successors: readonly Successor[]): Uint8Array[] {
    return [...this.close(epoch), ...this.#frames([], epoch, { stop: false, end: { successors } })]
  }

  #frames(elements: readonly FrameElement[], epoch: number, end: FrameEnd): Uint8Array[] {
    const told = progressBehind(elements, this.#told)
    const bytes = encodeFrame({ ...this.address, ...end, seq: this.#nextSeq, epoch, elements, ...told }, this.packing.compression)
    if (bytes.length > this.packing.frameBytes) {
      const halves = halved(elements)
      if (halves !== undefined) return halves.flatMap((half) => this.#frames(half, epoch, end))
      if (bytes.length > LARGEST_FRAME_BYTES) throw tooLarge(bytes.length)
    }
    this.#told = told
    this.#nextSeq++
    this.bytes += bytes.length
    return [bytes]
  }
}

function isWatermark(element: FrameElement | undefined): element is { readonly kind: 'watermark'; readonly watermark: number } {
  return element !== undefined && !(element instanceof RecordBatch) && element.kind === 'watermark'
}

function progressBehind(elements: readonly FrameElement[], before: WatermarkProgress): WatermarkProgress {
  let { watermark, idle } = before
  for (const element of elements) {
    if (element instanceof RecordBatch) continue
    if (element.kind === 'watermark') watermark = Math.max(watermark, element.watermark)
    else idle = element.idle
  }
  return { watermark, idle }
}

function halved(elements: readonly FrameElement[]): readonly FrameElement[][] | undefined {
  if (elements.length > 1) return [elements.slice(0, elements.length >> 1), elements.slice(elements.length >> 1)]
  const batch = elements[0]
  if (!(batch instanceof RecordBatch) || batch.size < 2) return undefined
  const middle = batch.size >> 1
  const part = (from: number, to: number) => RecordBatch.of(batch.values.slice(from, to), batch.timestamps.slice(from, to))
  return [[part(0, middle)], [part(middle, batch.size)]]
}

function tooLarge(bytes: number): MillraceError {
  return new MillraceError('RECORD_UNSERIALISABLE', {
    what: `a record must go to another stage and has ${bytes} bytes, more than a record of a stream holds (1 MiB)`,
    todo: 'Send a reference to large data (a name in a bucket), or divide the record.',
  })
}
