import { assert, MIN_WATERMARK, MillraceError } from '../core/index.js'
import { encodeFrame, type Frame, type FrameElement } from '../exchange/frame.js'
import { type ChannelSender, RecordBatch, type StreamElement } from '../exchange/index.js'
import type { WatermarkProgress } from './rising-output.js'

/** Beyond this a frame is divided, as far as it has more than one record. */
const FRAME_BYTES = 256 * 1024
/** A record of a stream holds 1 MiB; some of it is kept free for its partition key. */
const LARGEST_FRAME_BYTES = 1024 * 1024 - 1024

export type ChannelAddress = Pick<Frame, 'attempt' | 'edge' | 'from' | 'to'>

/** The sending end of a channel to another stage: gathers what a commit has for it, then packs it in frames. */
export class FrameSender implements ChannelSender {
  readonly writable = true
  bytes = 0
  #elements: FrameElement[] = []
  /** Of the channel behind the frames that were closed. */
  #told: WatermarkProgress = { watermark: MIN_WATERMARK, idle: false }

  constructor(
    readonly address: ChannelAddress,
    /** seq of the next frame. */
    public nextSeq: number,
  ) {}

  send(element: StreamElement): void {
    if (!(element instanceof RecordBatch)) {
      assert(element.kind === 'watermark' || element.kind === 'status', 'barriers of stages are epochs, and no source of theirs ends')
      // Of watermarks in a row only the last says anything.
      if (element.kind === 'watermark' && isWatermark(this.#elements.at(-1))) this.#elements.pop()
    }
    this.#elements.push(element as FrameElement)
  }

  /** The watermarks and statuses gathered are those that the receiver has been told before. */
  forgetProgress(): void {
    if (this.#elements.some((element) => element instanceof RecordBatch)) return // with records between them they keep their places
    this.#told = progressBehind(this.#elements, this.#told)
    this.#elements = []
  }

  /** Frames with everything gathered so far, none when nothing was. Throws RECORD_UNSERIALISABLE. */
  close(epoch: number): Uint8Array[] {
    const elements = this.#elements
    this.#elements = []
    return elements.length === 0 ? [] : this.#frames(elements, epoch)
  }

  /** An empty frame: the barrier of `epoch`, behind all that was closed before. */
  barrier(epoch: number): Uint8Array[] {
    assert(this.#elements.length === 0, 'frames are closed before a barrier')
    return this.#frames([], epoch)
  }

  #frames(elements: readonly FrameElement[], epoch: number): Uint8Array[] {
    const told = progressBehind(elements, this.#told)
    const bytes = encodeFrame({ ...this.address, seq: this.nextSeq, epoch, elements, ...told })
    if (bytes.length > FRAME_BYTES) {
      const halves = halved(elements)
      if (halves !== undefined) return halves.flatMap((half) => this.#frames(half, epoch))
      if (bytes.length > LARGEST_FRAME_BYTES) throw tooLarge(bytes.length)
    }
    this.#told = told
    this.nextSeq++
    this.bytes += bytes.length
    return [bytes]
  }
}

function isWatermark(element: FrameElement | undefined): boolean {
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
