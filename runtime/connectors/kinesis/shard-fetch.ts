import { performance } from 'node:perf_hooks'
import type { KinesisReads, ReadRecord } from './kinesis-reads.js'
import type { KinesisSplit } from './kinesis-split.js'

export interface FetchSettings {
  /** Between two reads of a shard that gave nothing, ms. */
  readonly pollIntervalMs: number
  /** Of one read. */
  readonly maxRecords: number
}

/** A shard takes five reads a second, of all who read it. */
const LEAST_PAUSE_MS = 200
/** Before more is read, the records that wait must be less than this. */
const MOST_WAITING_BYTES = 4 << 20

/** Reads one shard ahead of who takes its records. */
export class ShardFetch {
  readonly #waiting: ReadRecord[] = []
  /** Of the next record in #waiting. */
  #next = 0
  #bytes = 0
  #room: (() => void) | undefined
  #ended: KinesisSplit['successors'] | undefined
  #closed = false

  /** `onProgress` is called when there are records, at the end, and with what failed. */
  constructor(
    readonly reads: KinesisReads,
    readonly split: KinesisSplit,
    readonly settings: FetchSettings,
    readonly onProgress: (failure?: unknown) => void,
  ) {
    this.#run().catch((failure) => {
      if (!this.#closed) onProgress(failure)
    })
  }

  /** The next record that has come. */
  take(): ReadRecord | undefined {
    if (this.#next === this.#waiting.length) return undefined
    const record = this.#waiting[this.#next++]
    this.#bytes -= record.data.length
    if (this.#next === this.#waiting.length) {
      this.#waiting.length = 0
      this.#next = 0
    }
    if (this.#bytes < MOST_WAITING_BYTES) this.#room?.()
    return record
  }

  get empty(): boolean {
    return this.#next === this.#waiting.length
  }

  /** The shards that continue this one; undefined while there is more to come of it. */
  get ended(): KinesisSplit['successors'] | undefined {
    return this.empty ? this.#ended : undefined
  }

  close(): void {
    this.#closed = true
    this.#room?.()
  }

  async #run(): Promise<void> {
    let { position } = this.split
    let iterator: string | undefined
    for (;;) {
      iterator ??= await this.reads.iterator({ ...this.split, position })
      const startedAt = performance.now()
      const page = await this.reads.read(iterator, this.split.splitId, this.settings.maxRecords)
      if (this.#closed) return
      iterator = page === 'expired' ? undefined : page.next
      if (page === 'expired') continue
      const last = page.records.at(-1)
      if (last !== undefined) {
        position = last.sequenceNumber
        for (const record of page.records) {
          this.#waiting.push(record)
          this.#bytes += record.data.length
        }
        this.onProgress()
      }
      if (page.next === undefined) break
      const pauseMs = last === undefined ? Math.max(LEAST_PAUSE_MS, this.settings.pollIntervalMs) : LEAST_PAUSE_MS
      await this.reads.sleep(Math.max(0, pauseMs - (performance.now() - startedAt)))
      if (this.#bytes >= MOST_WAITING_BYTES) await new Promise<void>((resolve) => (this.#room = resolve))
      if (this.#closed) return
    }
    this.#ended = await this.#successors()
    this.onProgress()
  }

  /** A shard that is closed is always continued, but a listing may not show it at once. */
  async #successors(): Promise<KinesisSplit['successors']> {
    const { splitId } = this.split
    for (;;) {
      const shards = await this.reads.shards()
      const successors = shards
        .filter(({ parents }) => parents.includes(splitId))
        .map((shard) => ({ splitId: shard.splitId, parents: shard.parents }))
      // The shard itself may be gone by then: what was in it has been read.
      if (successors.length > 0 || !shards.some((shard) => shard.splitId === splitId)) return successors
      await this.reads.sleep(1_000)
    }
  }
}
