import { BROADCAST, type ChannelSender, type ControlElement, type Partitioner, RecordBatch, type StreamElement } from '../exchange/index.js'
import { RecordWriter } from '../task/record-writer.js'

/** Hands each element to the receiving subtask at once, in the caller's stack. */
export class DirectWriter extends RecordWriter {
  constructor(partition: Partitioner, channels: readonly ChannelSender[]) {
    super(partition, channels, false)
  }

  override write(value: unknown, timestamp: number): void {
    this.records++
    const target = this.partition(value)
    if (target !== BROADCAST) this.channels[target].send(RecordBatch.of([value], [timestamp]))
    else for (const channel of this.channels) channel.send(RecordBatch.of([value], [timestamp]))
  }

  override broadcast(element: ControlElement): void {
    for (const channel of this.channels) channel.send(element)
  }
}

/** The sending end of a channel without a queue. */
export class DirectChannel implements ChannelSender {
  readonly writable = true
  readonly bytes = 0

  constructor(readonly receive: (element: StreamElement) => void) {}

  send(element: StreamElement): void {
    this.receive(element)
  }
}
