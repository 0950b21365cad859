import { MillraceError } from '../core/index.js'
import {
  type ChannelSender,
  decodeBatch,
  type EncodedBatch,
  encodeBatch,
  encodedBytes,
  RecordBatch,
  type StreamElement,
  transferables,
} from '../exchange/index.js'

/** Batches that may wait in a channel before its sender is held back. */
const CAPACITY = 8
/** Batches that are taken before the sender hears of them, in one message; less than CAPACITY, so that a sender held back does hear. */
const TAKEN_TOGETHER = 4

/** A queue between two subtasks of one thread, or the receiving end of a remote channel. */
export class ChannelQueue implements ChannelSender {
  readonly bytes = 0
  #items: StreamElement[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  get writable(): boolean {
    return this.length < CAPACITY
  }

  send(element: StreamElement): void {
    this.#items.push(element)
  }

  peek(): StreamElement | undefined {
    return this.#items[this.#head]
  }

  take(): StreamElement | undefined {
    if (this.#head === this.#items.length) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined as never
    if (this.#head === this.#items.length) {
      this.#items.length = 0
      this.#head = 0
    } else if (this.#head > 64) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }
}

/** What one thread posts to another for a channel: a control element, an encoded batch, or how many batches were taken. */
export type PeerMessage =
  | { readonly channel: string; readonly element: Exclude<StreamElement, RecordBatch> }
  | { readonly channel: string; readonly batch: EncodedBatch }
  | { readonly channel: string; readonly taken: number }

export type PostToPeer = (message: PeerMessage, transfer: readonly ArrayBuffer[]) => void

/** Sends to a subtask in another thread: batches encoded, at most CAPACITY of them not yet taken there. */
export class RemoteChannelSender implements ChannelSender {
  bytes = 0
  #inFlight = 0

  constructor(
    readonly channel: string,
    readonly post: PostToPeer,
    /** The operator whose results it sends, for errors. */
    readonly from: { readonly uid: string; readonly name: string },
  ) {}

  get writable(): boolean {
    return this.#inFlight < CAPACITY
  }

  send(element: StreamElement): void {
    if (!(element instanceof RecordBatch)) {
      this.post({ channel: this.channel, element }, [])
      return
    }
    const batch = this.#encode(element)
    this.bytes += encodedBytes(batch)
    this.#inFlight++
    this.post({ channel: this.channel, batch }, transferables(batch))
  }

  #encode(batch: RecordBatch): EncodedBatch {
    try {
      return encodeBatch(batch)
    } catch (thrown) {
      if (!(thrown instanceof MillraceError)) throw thrown
      const { uid, name } = this.from
      throw new MillraceError(thrown.code, { ...thrown.detail, where: `output of operator "${name}" (uid ${uid})`, uid })
    }
  }

  taken(batches: number): void {
    this.#inFlight -= batches
  }
}

/** Receives from another thread; decodes when a batch is taken, and then lets the sender know. */
export class RemoteChannelReceiver {
  bytes = 0
  readonly #items: (StreamElement | EncodedBatch)[] = []
  #taken = 0

  constructor(
    readonly channel: string,
    readonly post: PostToPeer,
  ) {}

  get length(): number {
    return this.#items.length
  }

  receive(message: PeerMessage): void {
    if ('batch' in message) {
      this.bytes += encodedBytes(message.batch)
      this.#items.push(message.batch)
    } else if ('element' in message) this.#items.push(message.element)
  }

  peek(): { readonly kind?: string } | undefined {
    return this.#items[0] as { readonly kind?: string } | undefined
  }

  take(): StreamElement | undefined {
    const item = this.#items.shift()
    if (item === undefined || 'kind' in item || item instanceof RecordBatch) return item
    if (++this.#taken === TAKEN_TOGETHER) {
      this.#taken = 0
      this.post({ channel: this.channel, taken: TAKEN_TOGETHER }, [])
    }
    return decodeBatch(item)
  }
}

export type ChannelReceiver = ChannelQueue | RemoteChannelReceiver
