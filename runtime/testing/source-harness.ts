import type { EnumeratorContext, ReadStatus, Source, SourceReader, SourceSplit, SplitEnumerator } from '../core/index.js'
import { harnessRuntimeContext } from './harness-runtime-context.js'

/** A record that the source under test emitted, with its timestamp (epoch ms), split and subtask. */
export interface EmittedRecord<T> {
  readonly value: T
  readonly timestamp: number | undefined
  readonly splitId: string | undefined
  readonly subtask: number
}

/** What a checkpoint would hold, after a round trip through JSON. */
export interface SourceSnapshot<Split, EnumState> {
  readonly enumerator: EnumState
  /** Splits by subtask. */
  readonly readers: readonly (readonly Split[])[]
}

/** Options of {@link SourceHarness}. */
export interface SourceHarnessOptions<Split, EnumState> {
  /** Default 1; after a restore any. */
  readonly parallelism?: number
  readonly restored?: SourceSnapshot<Split, EnumState>
  /** Processing time, epoch ms. */
  readonly now?: () => number
  /** How long {@link SourceHarness.take} and `drain` wait for records, ms. Default 5000. */
  readonly timeoutMs?: number
}

/**
 * Runs a source by hand: its enumerator and a reader for each subtask, without a job.
 *
 * @example
 * const harness = await SourceHarness.start(fileSource({ path, format: lines() }))
 * await harness.take(10)
 * const snapshot = harness.snapshot()
 * await harness.close()
 * const again = await SourceHarness.start(source, { restored: snapshot, parallelism: 2 })
 * const rest = await again.drain()
 */
export class SourceHarness<T, Split extends SourceSplit, EnumState> {
  readonly records: EmittedRecord<T>[] = []
  readonly releasedSplits: string[] = []
  readonly #source: Source<T, Split, EnumState>
  readonly #options: SourceHarnessOptions<Split, EnumState>
  readonly #parallelism: number
  readonly #discoveries: (() => void | Promise<void>)[] = []
  readonly #ended: boolean[] = []
  #readers: SourceReader<T, Split>[] = []
  #enumerator!: SplitEnumerator<Split, EnumState>
  #failure: { readonly thrown: unknown } | undefined

  private constructor(source: Source<T, Split, EnumState>, options: SourceHarnessOptions<Split, EnumState>) {
    this.#source = source
    this.#options = options
    this.#parallelism = options.parallelism ?? 1
  }

  static async start<T, Split extends SourceSplit, EnumState>(
    source: Source<T, Split, EnumState>,
    options: SourceHarnessOptions<Split, EnumState> = {},
  ): Promise<SourceHarness<T, Split, EnumState>> {
    const harness = new SourceHarness(source, options)
    await harness.#start()
    return harness
  }

  get values(): T[] {
    return this.records.map((record) => record.value)
  }

  /** One call of one reader's pollNext. */
  poll(subtask = 0): ReadStatus {
    this.#checkFailure()
    return this.#readers[subtask].pollNext({
      collect: (value, timestamp, splitId) => this.records.push({ value, timestamp, splitId, subtask }),
      releaseSplit: (splitId) => this.releasedSplits.push(splitId),
    })
  }

  /** Polls all readers in turn until `count` more records were emitted, or until all have ended; returns these records' values. */
  async take(count: number): Promise<T[]> {
    const from = this.records.length
    const deadline = Date.now() + (this.#options.timeoutMs ?? 5000)
    while (this.records.length < from + count && this.#ended.includes(false)) {
      if (this.#pollAll(from + count)) continue
      if (this.records.length >= from + count || !this.#ended.includes(false)) break
      await this.#waitForAny(deadline, `${this.records.length - from} of ${count} records came`)
    }
    return this.records.slice(from).map((record) => record.value)
  }

  /** All records until every reader has ended. */
  drain(): Promise<T[]> {
    return this.take(Number.POSITIVE_INFINITY)
  }

  /** Runs what the enumerator has scheduled, now. */
  async discover(): Promise<void> {
    for (const discovery of this.#discoveries) await discovery()
    await settled()
  }

  snapshot(): SourceSnapshot<Split, EnumState> {
    const snapshot = { readers: this.#readers.map((reader) => reader.snapshotState()), enumerator: this.#enumerator.snapshotState() }
    return JSON.parse(JSON.stringify(snapshot)) as SourceSnapshot<Split, EnumState>
  }

  async close(): Promise<void> {
    for (const reader of this.#readers) await reader.close()
    await this.#enumerator.close()
  }

  async #start(): Promise<void> {
    const { restored, now = Date.now } = this.#options
    this.#enumerator = this.#source.createEnumerator(this.#enumeratorContext(), restored?.enumerator)
    if (restored !== undefined) this.#enumerator.addSplitsBack(restored.readers.flat())
    this.#readers = Array.from({ length: this.#parallelism }, (_, subtaskIndex) => {
      const runtime = harnessRuntimeContext({ name: this.#source.name, subtaskIndex, parallelism: this.#parallelism })
      this.#ended.push(false)
      // A request reaches the enumerator later, as from another thread.
      const requestSplit = () => queueMicrotask(() => this.#enumerator.handleSplitRequest(subtaskIndex))
      const sendSourceEvent = (event: unknown) => queueMicrotask(() => this.#enumerator.handleSourceEvent?.(subtaskIndex, event))
      return this.#source.createReader({ subtaskIndex, parallelism: this.#parallelism, runtime, now, requestSplit, sendSourceEvent })
    })
    await this.#enumerator.start()
    for (const reader of this.#readers) reader.start()
    await settled()
  }

  #enumeratorContext(): EnumeratorContext<Split> {
    return {
      parallelism: this.#parallelism,
      physicalName: (name) => name,
      assignSplit: (subtask, split) => this.#readers[subtask].addSplits([JSON.parse(JSON.stringify(split)) as Split]),
      signalNoMoreSplits: (subtask) => this.#readers[subtask].notifyNoMoreSplits(),
      schedule: (_intervalMs, discovery) => this.#discoveries.push(discovery),
      fail: (thrown) => {
        this.#failure ??= { thrown }
      },
    }
  }

  /** Whether any reader wants to go on at once. */
  #pollAll(enough: number): boolean {
    let more = false
    for (let subtask = 0; subtask < this.#parallelism && this.records.length < enough; subtask++) {
      if (this.#ended[subtask]) continue
      const status = this.poll(subtask)
      this.#ended[subtask] = status === 'end'
      more ||= status === 'more'
    }
    return more
  }

  async #waitForAny(deadline: number, soFar: string): Promise<void> {
    const waiting = this.#readers.filter((_, subtask) => !this.#ended[subtask]).map((reader) => reader.available())
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the source gave nothing in time: ${soFar}`)), Math.max(0, deadline - Date.now()))
    })
    try {
      await Promise.race([...waiting, timeout])
    } finally {
      clearTimeout(timer)
    }
    this.#checkFailure()
  }

  #checkFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.thrown
  }
}

/** After the requests that are on their way. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
