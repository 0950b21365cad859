import { RecordBatch, type StreamElement } from '../exchange/index.js'
import { WatermarkValve } from '../operators/watermark-valve.js'
import type { StreamNode, VertexPlan } from '../plan/index.js'
import { HeadInput } from '../task/head-input.js'
import type { ChainedOperator } from '../task/operator-chain.js'
import type { SubtaskProcessingTime } from '../task/processing-time.js'
import type { RecordWriter } from '../task/record-writer.js'
import type { ManualClock } from './manual-clock.js'

/** The channels of one input: a watermark valve and how many have not ended. */
interface SubtaskInput {
  readonly valve: WatermarkValve
  readonly channels: number
  ended: number
}

export interface DrivenSubtaskParts {
  readonly vertex: VertexPlan
  readonly subtask: number
  readonly chain: readonly ChainedOperator[]
  readonly node: StreamNode
  /** Channels of each input. */
  readonly channels: readonly [number, number]
  readonly writers: readonly RecordWriter[]
  readonly clock: ManualClock
  readonly processingTime: SubtaskProcessingTime
}

/** One subtask that processes each element when it arrives, in the sender's stack. */
export class DrivenSubtask {
  readonly #head: HeadInput
  readonly #inputs: readonly SubtaskInput[]

  constructor(readonly parts: DrivenSubtaskParts) {
    const head = new HeadInput(parts.chain[0], parts.node)
    this.#head = head
    this.#inputs = parts.channels.map((channels, input) => ({
      valve: new WatermarkValve(channels, {
        emitWatermark: (watermark) => head.processWatermark(watermark, input),
        emitStatus: (idle) => head.processStatus(idle, input),
      }),
      channels,
      ended: 0,
    }))
  }

  /** Last operator first, so that each can be written to when the one before it opens. */
  async open(): Promise<void> {
    for (const { operator, restored } of [...this.parts.chain].reverse()) await operator.open(restored)
  }

  receive(input: number, channel: number, element: StreamElement): void {
    if (element instanceof RecordBatch) {
      this.#head.processBatch(element, input)
      return
    }
    const { valve } = this.#inputs[input]
    if (element.kind === 'watermark') valve.inputWatermark(channel, element.watermark)
    else if (element.kind === 'status') valve.inputStatus(channel, element.idle)
    else if (element.kind === 'end') this.#end(input)
  }

  #end(ended: number): void {
    const input = this.#inputs[ended]
    input.ended++
    if (input.ended < input.channels) return
    this.#head.endOf(ended)
    if (this.#inputs.every(({ ended, channels }) => ended === channels)) this.endInput()
  }

  /** Every input is over. */
  endInput(): void {
    for (const { operator } of this.parts.chain) operator.endInput()
    for (const writer of this.parts.writers) writer.broadcast({ kind: 'end' })
  }

  advanceProcessingTime(to: number): void {
    this.parts.clock.set(to)
    this.parts.processingTime.fireDue()
  }

  /** All operators, whatever the others throw; rejects with the first failure. */
  async close(): Promise<void> {
    const closed = await Promise.allSettled(this.parts.chain.map(async ({ operator }) => operator.close()))
    for (const result of closed) if (result.status === 'rejected') throw result.reason
  }
}
