import type { ReaderContext, ReaderOutput, ReadStatus, SourceReader } from '../../../core/index.js'
import { MillraceError } from '../../../core/index.js'
import { Signal } from '../../base/signal.js'
import { MalformedRecord } from './file-format.js'
import type { FileSplit } from './file-split.js'
import { lineNumberAt } from './line-number-at.js'
import { type ReadSettings, SplitRead } from './split-read.js'

const RECORDS_PER_POLL = 500

interface OpenRead<T> {
  readonly read: SplitRead<T>
  readonly emit: (value: T) => void
}

/** Reads one split after the other; files that are followed, all at once in turn. */
export class FileSourceReader<T> implements SourceReader<T, FileSplit> {
  readonly #context: ReaderContext
  readonly #settings: ReadSettings<T>
  readonly #signal = new Signal()
  readonly #queue: FileSplit[] = []
  readonly #open: OpenRead<T>[] = []
  readonly #closing = new Set<Promise<void>>()
  #out!: ReaderOutput<T>
  #turn = 0
  #asked = false
  #noMore = false
  #failing = false

  constructor(context: ReaderContext, settings: ReadSettings<T>) {
    this.#context = context
    this.#settings = settings
  }

  start(): void {
    this.#ask()
  }

  pollNext(out: ReaderOutput<T>): ReadStatus {
    this.#signal.check()
    this.#out = out
    if (this.#failing) return 'waiting'
    this.#openNext()
    for (let tried = this.#open.length; tried > 0; tried--) {
      this.#turn %= this.#open.length
      const status = this.#poll(this.#open[this.#turn])
      if (status === 'more') {
        this.#turn += 1
        return 'more'
      }
      if (status === 'end') {
        this.#finish(out)
        if (this.#queue.length > 0) return 'more'
      } else {
        this.#turn += 1
      }
    }
    return this.#noMore && this.#open.length === 0 && this.#queue.length === 0 ? 'end' : 'waiting'
  }

  available(): Promise<void> {
    return this.#signal.wait()
  }

  addSplits(splits: readonly FileSplit[]): void {
    this.#asked = false
    this.#queue.push(...splits)
    this.#signal.wake()
  }

  notifyNoMoreSplits(): void {
    this.#noMore = true
    this.#signal.wake()
  }

  snapshotState(): FileSplit[] {
    return [...this.#open.map(({ read }) => read.snapshot()), ...this.#queue]
  }

  async close(): Promise<void> {
    for (const { read } of this.#open.splice(0)) this.#close(read)
    await Promise.all(this.#closing)
  }

  #ask(): void {
    if (this.#asked || this.#noMore) return
    this.#asked = true
    this.#context.requestSplit()
  }

  #openNext(): void {
    const all = this.#settings.followPollMs !== undefined
    while (this.#queue.length > 0 && (all || this.#open.length === 0)) {
      const split = this.#queue.shift() as FileSplit
      const read = new SplitRead(split, this.#settings, () => this.#signal.wake())
      this.#open.push({ read, emit: (value) => this.#out.collect(value, undefined, split.splitId) })
    }
  }

  #poll({ read, emit }: OpenRead<T>): 'more' | 'waiting' | 'end' {
    try {
      return read.poll(RECORDS_PER_POLL, emit)
    } catch (error) {
      if (!(error instanceof MalformedRecord)) throw error
      // A byte range does not know its line numbers; they are counted before the failure is reported.
      this.#failing = true
      this.#reportMalformed(read, error).catch((thrown) => this.#signal.fail(thrown))
      return 'waiting'
    }
  }

  async #reportMalformed(read: SplitRead<T>, error: MalformedRecord): Promise<void> {
    const { path, start } = read.split
    const lineNumber = start === 0 ? error.lineNumber : await lineNumberAt(this.#settings.files, path, read.position)
    throw new MillraceError('RECORD_MALFORMED', { what: error.what, where: `${path}, line ${lineNumber}`, todo: error.todo, cause: error.cause })
  }

  #finish(out: ReaderOutput<T>): void {
    const [{ read }] = this.#open.splice(this.#turn, 1)
    this.#close(read)
    out.releaseSplit(read.split.splitId)
    if (this.#queue.length === 0) this.#ask()
  }

  /** Everything wanted from the file has been read: a failure to close it loses nothing. */
  #close(read: SplitRead<T>): void {
    const closing = read
      .close()
      .catch(() => {})
      .then(() => {
        this.#closing.delete(closing)
      })
    this.#closing.add(closing)
  }
}
