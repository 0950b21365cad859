import type { SinkWriter } from '../../core/index.js'
import type { OpenedOnce } from './opened-once.js'
import { SendQueue } from './send-queue.js'

export interface SendingSettings<T, Entry, Outside> {
  /** What is sent for a value, if anything is. */
  readonly entryOf: (value: T) => Entry | undefined
  readonly sizeOf: (entry: Entry) => number
  /** Resolves when all of a portion has been taken. The next one comes behind it, so none overtakes another. */
  readonly send: (outside: Outside, portion: readonly Entry[]) => Promise<void>
}

/** Sends as the job goes, at least once. Whoever prepares a commit waits until all has been taken. */
export class SendingWriter<T, Entry, Outside extends { close(): void }> implements SinkWriter<T, never> {
  readonly #queue: SendQueue<Entry>

  constructor(
    readonly outside: OpenedOnce<Outside>,
    readonly settings: SendingSettings<T, Entry, Outside>,
  ) {
    this.#queue = new SendQueue(async (portion) => settings.send(await outside.get(), portion))
  }

  write(value: T): void {
    const entry = this.settings.entryOf(value)
    if (entry !== undefined) this.#queue.add(entry, this.settings.sizeOf(entry))
  }

  ready(): Promise<void> | undefined {
    return this.#queue.ready()
  }

  async prepareCommit(): Promise<readonly never[]> {
    await this.#queue.flush()
    return []
  }

  async close(): Promise<void> {
    await this.#queue.settled()
    await this.outside.close()
  }
}
