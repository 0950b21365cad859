import { BROADCAST, type ChannelSender, type ControlElement, type Partitioner, RecordBatch } from '../exchange/index.js'

/** Records that a batch holds at most. */
const BATCH_SIZE = 1024
/** Records that the first batch has room for before its arrays grow. */
const FIRST_CAPACITY = 16

/** One edge out of a subtask: puts records into batches for the receiving subtasks. */
export class RecordWriter {
  records = 0
  readonly #batches: (RecordBatch | undefined)[]
  readonly #single: boolean
  /** Room in the next batch: arrays for 1024 records are much garbage when each holds one. */
  #capacity = FIRST_CAPACITY

  constructor(
    readonly partition: Partitioner,
    readonly channels: readonly ChannelSender[],
    /** forward edges have one channel that every record takes, whatever the partitioner says */
    single: boolean,
  ) {
    this.#batches = channels.map(() => undefined)
    this.#single = single
  }

  get writable(): boolean {
    for (let i = 0; i < this.channels.length; i++) if (!this.channels[i].writable) return false
    return true
  }

  get bytes(): number {
    return this.channels.reduce((sum, channel) => sum + channel.bytes, 0)
  }

  write(value: unknown, timestamp: number): void {
    this.records++
    if (this.#single) {
      this.#append(0, value, timestamp)
      return
    }
    const target = this.partition(value)
    if (target !== BROADCAST) this.#append(target, value, timestamp)
    else for (let i = 0; i < this.channels.length; i++) this.#append(i, value, timestamp)
  }

  #append(channel: number, value: unknown, timestamp: number): void {
    let batch = this.#batches[channel]
    if (batch === undefined) {
      batch = new RecordBatch(this.#capacity)
      this.#batches[channel] = batch
    }
    const at = batch.size
    batch.values[at] = value
    batch.timestamps[at] = timestamp
    batch.size = at + 1
    if (batch.size === BATCH_SIZE) this.#flush(channel, batch)
  }

  #flush(channel: number, batch: RecordBatch): void {
    this.#batches[channel] = undefined
    this.#capacity = Math.min(BATCH_SIZE, 2 * batch.size)
    this.channels[channel].send(batch)
  }

  /** Sends what waits in unfinished batches; false when there was nothing. */
  flush(): boolean {
    let flushed = false
    for (let i = 0; i < this.#batches.length; i++) {
      const batch = this.#batches[i]
      if (batch === undefined) continue
      this.#flush(i, batch)
      flushed = true
    }
    return flushed
  }

  /** To every channel, behind the records written so far. */
  broadcast(element: ControlElement): void {
    this.flush()
    for (const channel of this.channels) channel.send(element)
  }
}
