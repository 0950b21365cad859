import { MillraceError, type Source, type SourceSplit, type SplitEnumerator } from '../core/index.js'

export interface SplitReceiver {
  assign(subtask: number, split: SourceSplit): void
  noMoreSplits(subtask: number): void
  fail(error: unknown): void
}

/** The enumerator of one source, with the timers it asked for. Lives in the coordinator. */
export class SourceCoordinator {
  readonly #enumerator: SplitEnumerator<SourceSplit, unknown>
  readonly #timers: NodeJS.Timeout[] = []
  /** Requests that came before `start`; undefined from then on. */
  #early: number[] | undefined = []
  #closed = false

  constructor(
    readonly uid: string,
    source: Source<unknown, SourceSplit, unknown>,
    readonly parallelism: number,
    readonly receiver: SplitReceiver,
    physicalName: (name: string) => string,
    restored: { readonly enumerator: unknown; readonly splits: readonly SourceSplit[] } | undefined,
  ) {
    this.#enumerator = source.createEnumerator(
      {
        parallelism,
        physicalName,
        assignSplit: (subtask, split) => !this.#closed && receiver.assign(subtask, split),
        signalNoMoreSplits: (subtask) => !this.#closed && receiver.noMoreSplits(subtask),
        schedule: (intervalMs, discover) => this.#schedule(intervalMs, discover),
        fail: (error) => this.#fail(error),
      },
      restored?.enumerator,
    )
    if (restored !== undefined && restored.splits.length > 0) this.#enumerator.addSplitsBack(restored.splits)
  }

  async start(): Promise<void> {
    try {
      const started = this.#enumerator.start()
      const early = this.#early ?? []
      this.#early = undefined
      for (const subtask of early) this.#enumerator.handleSplitRequest(subtask)
      await started
    } catch (error) {
      this.#fail(error)
    }
  }

  #schedule(intervalMs: number, discover: () => void | Promise<void>): void {
    let running = false
    const timer = setInterval(async () => {
      if (running || this.#closed) return
      running = true
      try {
        await discover()
      } catch (error) {
        this.#fail(error)
      }
      running = false
    }, intervalMs)
    this.#timers.push(timer)
  }

  #fail(error: unknown): void {
    if (this.#closed) return
    this.receiver.fail(
      MillraceError.from(error, 'SOURCE_FAILED', { what: 'the source cannot find what to read', where: `source ${this.uid}`, uid: this.uid }),
    )
  }

  requestSplit(subtask: number): void {
    if (this.#early === undefined) this.#enumerator.handleSplitRequest(subtask)
    else this.#early.push(subtask)
  }

  sourceEvent(subtask: number, event: unknown): void {
    try {
      this.#enumerator.handleSourceEvent?.(subtask, event)
    } catch (error) {
      this.#fail(error)
    }
  }

  snapshot(): unknown {
    return this.#enumerator.snapshotState()
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const timer of this.#timers) clearInterval(timer)
    await this.#enumerator.close()
  }
}
