import { MemoryBlobStore, MemoryCommitLog } from '../runtime/backends/memory/index.js'
import type { Sink, SinkMarker, SinkRecord, SinkTransactor } from '../runtime/core/index.js'
import type { BlobStore, ByteRange, CommitLog, ControlItem, LogHead, LogItem, LogRead, Outcome } from '../runtime/ports/index.js'
import type { Checks, SinkFact } from './invariants.js'
import type { Machine, Program } from './program.js'

/** What is told of every write to a log. */
export interface LogWatcher {
  appended(log: string, item: LogItem, outcome: Outcome): void
  controlled(log: string, control: ControlItem, outcome: Outcome): void
}

/** The log itself, which tells of what is written and keeps what may expire until a fault lets it. */
export class WatchedLog implements CommitLog {
  readonly inner: MemoryCommitLog

  constructor(
    machine: Machine,
    readonly watcher: LogWatcher,
  ) {
    this.inner = new MemoryCommitLog({ now: () => machine.expiredUntilMs })
  }

  read(log: string, after: number): Promise<LogRead> {
    return this.inner.read(log, after)
  }

  head(log: string): Promise<LogHead> {
    return this.inner.head(log)
  }

  append(log: string, item: LogItem): Promise<Outcome> {
    return this.inner.append(log, item).then((outcome) => {
      this.watcher.appended(log, item, outcome)
      return outcome
    })
  }

  putControl(log: string, control: ControlItem): Promise<Outcome> {
    return this.inner.putControl(log, control).then((outcome) => {
      this.watcher.controlled(log, control, outcome)
      return outcome
    })
  }
}

/** Blobs, which can be looked at without a call. */
export class WatchedBlobs implements BlobStore {
  readonly #inner = new MemoryBlobStore()
  readonly #bytes = new Map<string, Uint8Array>()

  constructor(readonly checks: Checks) {}

  look(name: string): Uint8Array | undefined {
    return this.#bytes.get(name)
  }

  async put(name: string, bytes: Uint8Array): Promise<'stored' | 'exists'> {
    const outcome = await this.#inner.put(name, bytes)
    if (outcome === 'stored') this.#bytes.set(name, bytes.slice())
    return outcome
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return this.#inner.get(name)
  }

  getRange(name: string, range: ByteRange): Promise<Uint8Array | undefined> {
    return this.#inner.getRange(name, range)
  }

  list(prefix: string): Promise<string[]> {
    return this.#inner.list(prefix)
  }

  /** Parts of logs expire by themselves, long after the items that name them. */
  delete(name: string): Promise<void> {
    this.checks.hold('10', false, () => `the blob ${name} was deleted`)
    return this.#inner.delete(name)
  }
}

/** Records that a sink has taken in one transaction. */
export interface Applied {
  readonly fact: SinkFact
  readonly marker: SinkMarker
  readonly values: readonly unknown[]
}

/** The outside behind the sinks of one job: markers and what was written with them. */
export class Outside {
  readonly applied: Applied[] = []
  readonly #markers = new Map<string, { readonly attempt: number; readonly version: number }>()

  constructor(
    readonly asked: (marker: SinkMarker) => SinkFact | undefined,
    readonly delivery: (sink: string) => 'onCommit' | 'onCheckpoint',
    /** A marker was later than the stored one: what comes with it is written. */
    readonly taking: (marker: SinkMarker) => void,
  ) {}

  /** The sink of this name as a program writes to it. */
  sinkOf(program: Program, name: string): Sink<unknown> {
    const transactor: SinkTransactor<unknown> = {
      apply: (marker, records) => program.call('sink', 'apply', marker.writer, records.length, async () => this.#apply(marker, records)),
      fence: (writer, attempt) => program.call('sink', 'fence', writer, attempt, async () => this.#fence(writer, attempt)),
    }
    return {
      name,
      delivery: this.delivery(name),
      createTransactor: () => transactor,
      createWriter: () => ({ write: () => {}, prepareCommit: () => [], close: () => {} }),
    }
  }

  #fence(writer: string, attempt: number): void {
    if ((this.#markers.get(writer)?.attempt ?? 0) < attempt) this.#markers.set(writer, { attempt, version: 0 })
  }

  #apply(marker: SinkMarker, records: readonly SinkRecord<unknown>[]): void {
    const fact = this.asked(marker)
    const stored = this.#markers.get(marker.writer)
    if (stored !== undefined && (stored.attempt > marker.attempt || (stored.attempt === marker.attempt && stored.version >= marker.version))) return
    this.taking(marker)
    this.#markers.set(marker.writer, { attempt: marker.attempt, version: marker.version })
    this.applied.push({ fact: fact as SinkFact, marker, values: records.map(({ value }) => value) })
  }
}
