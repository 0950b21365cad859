import { assert, MillraceError, MIN_WATERMARK } from '../core/index.js'
import { type ChannelSender, RecordBatch, type StreamElement } from '../exchange/index.js'
import { encodeFrame, type Frame, type FrameElement } from '../exchange/frame.js'

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
  #watermark = MIN_WATERMARK
  #idle = false

  constructor(
    readonly address: ChannelAddress,
    /** seq of the next frame. */
    public nextSeq: number,
  ) {}

  send(element: StreamElement): void {
    if (element instanceof RecordBatch) {
      this.#elements.push(element)
      return
    }
    assert(element.kind === 'watermark' || element.kind === 'status', 'barriers of stages are epochs, and no source of theirs ends')
    if (element.kind === 'watermark') this.#watermark = element.watermark
    else this.#idle = element.idle
    // Of watermarks in a row only the last says anything.
    const last = this.#elements.at(-1)
    if (element.kind === 'watermark' && last !== undefined && 'kind' in last && last.kind === 'watermark') this.#elements.pop()
    this.#elements.push(element)
  }

  /** Forgets what was gathered: it is what the receiver has been told before. */
  clear(): void {
    this.#elements = []
  }

  /** Frames with everything gathered so far, none when nothing was. Throws RECORD_UNSERIALISABLE. */
  close(epoch: number): Uint8Array[] {
    const elements = this.#elements
    if (elements.length === 0) return []
    this.#elements = []
    return this.#encode(elements, epoch)
  }

  /** An empty frame: the barrier of `epoch`, behind all that was closed before. */
  barrier(epoch: number): Uint8Array {
    assert(this.#elements.length === 0, 'frames are closed before a barrier')
    return this.#frame([], epoch)
  }

  #encode(elements: readonly FrameElement[], epoch: number): Uint8Array[] {
    const seq = this.nextSeq
    const bytes = this.#frame(elements, epoch)
    if (bytes.length <= FRAME_BYTES) return [bytes]
    const halves = halved(elements)
    if (halves === undefined) {
      if (bytes.length > LARGEST_FRAME_BYTES) throw tooLarge(bytes.length)
      return [bytes]
    }
    this.bytes -= bytes.length
    this.nextSeq = seq
    return halves.flatMap((half) => this.#encode(half, epoch))
  }

  #frame(elements: readonly FrameElement[], epoch: number): Uint8Array {
    // The watermark of the header is that of the channel behind all its elements: in the first half of two it would come too early.
    const watermark = elements.reduce((least, e) => ('kind' in e && e.kind === 'watermark' ? e.watermark : least), MIN_WATERMARK)
    const last = elements.length === 0 ? this.#watermark : watermark
    const status = elements.findLast((e) => 'kind' in e && e.kind === 'status') as { readonly idle: boolean } | undefined
    const bytes = encodeFrame({ ...this.address, seq: this.nextSeq, epoch, elements, watermark: last, idle: status?.idle ?? this.#idle })
    this.nextSeq++
    this.bytes += bytes.length
    return bytes
  }
}
