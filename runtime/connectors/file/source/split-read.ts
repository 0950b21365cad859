import { isAscii } from 'node:buffer'
import { assert } from '../../../core/index.js'
import type { FileSystem } from '../../../ports/index.js'
import { type ByteStream, PlainByteStream } from './byte-stream.js'
import type { ByteWindow, FileFormat, RecordDecoder } from './file-format.js'
import type { FileSplit } from './file-split.js'
import { FollowByteStream } from './follow-byte-stream.js'
import { GzipByteStream } from './gzip-byte-stream.js'
import { Prefetch } from './prefetch.js'

const BOM = Buffer.from([0xef, 0xbb, 0xbf])
const NEWLINE = 10
const NOTHING = Buffer.alloc(0)

export interface ReadSettings<T> {
  readonly files: FileSystem
  readonly format: FileFormat<T>
  readonly chunkBytes: number
  readonly maxRecordBytes: number
  /** Set when files are followed. */
  readonly followPollMs: number | undefined
}

/** One split being read: bytes that have arrived, the decoder, and the exact position behind the last emitted record. */
export class SplitRead<T> {
  readonly split: FileSplit
  readonly #settings: ReadSettings<T>
  readonly #onProgress: () => void
  #window: ByteWindow = { bytes: NOTHING, position: 0, limit: Number.POSITIVE_INFINITY, final: false, ascii: true }
  /** Place in the file of the window's first byte. */
  #base: number
  #aligned: boolean
  #stream!: ByteStream
  #prefetch!: Prefetch
  #decoder!: RecordDecoder<T>

  constructor(split: FileSplit, settings: ReadSettings<T>, onProgress: () => void) {
    this.split = split
    this.#settings = settings
    this.#onProgress = onProgress
    this.#aligned = split.aligned
    // A line that starts exactly at `start` is told from one that runs across it by the byte before.
    this.#base = split.aligned ? split.position : split.start - 1
    this.#open(this.#base, split.fileId, split.decoder)
  }

  /** Place in the file behind the last record. */
  get position(): number {
    return this.#base + this.#window.position
  }

  /** Emits up to `max` records of what has arrived. */
  poll(max: number, emit: (value: T) => void): 'more' | 'waiting' | 'end' {
    let emitted = 0
    for (;;) {
      if (this.#isReady()) {
        const before = this.#window.position
        emitted += this.#decoder.decode(this.#window, max - emitted, emit)
        if (emitted >= max) return 'more'
        const { position, limit, final, bytes } = this.#window
        if (position >= limit) return 'end'
        if (final && position < bytes.length) {
          assert(position > before, 'a decoder consumes all bytes of a final window, or throws')
          continue
        }
      }
      if (this.#window.final) {
        if (this.#settings.followPollMs === undefined) return 'end'
        this.#reopenRotated()
      }
      const chunk = this.#prefetch.take()
      if (chunk === undefined) return 'waiting'
      this.#extend(chunk)
    }
  }

  snapshot(): FileSplit {
    const { splitId, path, start, end } = this.split
    if (!this.#aligned) return this.split
    const snapshot: FileSplit = { splitId, path, start, end, position: this.position, aligned: true, decoder: this.#decoder.snapshot() }
    return this.#stream.fileId === undefined ? snapshot : { ...snapshot, fileId: this.#stream.fileId }
  }

  close(): Promise<void> {
    return this.#prefetch.close()
  }

  #open(position: number, fileId: string | undefined, restored: unknown): void {
    const { files, chunkBytes, followPollMs, format, maxRecordBytes } = this.#settings
    const { path } = this.split
    if (followPollMs !== undefined) this.#stream = new FollowByteStream(files, { path, position, fileId, chunkBytes, pollIntervalMs: followPollMs })
    else if (isGzip(path)) this.#stream = new GzipByteStream(new PlainByteStream(files, path, 0, chunkBytes), path, position, chunkBytes)
    else this.#stream = new PlainByteStream(files, path, position, chunkBytes)
    this.#prefetch = new Prefetch(this.#stream, this.#onProgress)
    this.#decoder = format.createDecoder({ path, restored, maxRecordBytes })
  }

  /** The old file has been read to its end; what is at the path now is another one. */
  #reopenRotated(): void {
    // The file has been read to its end: a failure to close it loses nothing.
    this.#prefetch.close().catch(() => {})
    this.#base = 0
    this.#window = { bytes: NOTHING, position: 0, limit: Number.POSITIVE_INFINITY, final: false, ascii: true }
    this.#open(0, undefined, undefined)
  }

  #extend(chunk: Buffer | 'end'): void {
    const { bytes, position } = this.#window
    const rest = bytes.subarray(position)
    this.#base += position
    const extended = chunk === 'end' ? rest : rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const { end } = this.split
    this.#window = {
      bytes: extended,
      position: 0,
      limit: end === null ? Number.POSITIVE_INFINITY : end - this.#base,
      final: chunk === 'end',
      ascii: isAscii(extended),
    }
  }

  /** Whether the window starts at a record: past the byte order mark of a file, past the foreign line of a range. */
  #isReady(): boolean {
    const window = this.#window
    if (!this.#aligned) {
      const newline = window.bytes.indexOf(NEWLINE)
      window.position = newline === -1 ? window.bytes.length : newline + 1
      this.#aligned = newline !== -1 || window.final
      return this.#aligned
    }
    if (this.position > 0 || window.bytes.length === 0) return window.bytes.length > 0
    const start = window.bytes.subarray(0, BOM.length)
    if (!BOM.subarray(0, start.length).equals(start)) return true
    if (start.length < BOM.length) return window.final
    window.position = BOM.length
    return true
  }
}

export function isGzip(path: string): boolean {
  return path.toLowerCase().endsWith('.gz')
}
