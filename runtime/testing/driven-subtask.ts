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

interface Arrived {
  readonly input: number
  readonly channel: number
  readonly element: StreamElement
}

export interface DrivenSubtaskParts {
  readonly vertex: VertexPlan
  readonly subtask: number
  readonly chain: readonly ChainedOperator[]
  readonly node: StreamNode
  /** The edge of each channel, for each input. */
  readonly edges: readonly [readonly number[], readonly number[]]
  readonly writers: readonly RecordWriter[]
  readonly clock: ManualClock
  readonly processingTime: SubtaskProcessingTime
}

/** One subtask that processes each element when it arrives, in the sender's stack; but for what an asynchronous operator holds back. */
export class DrivenSubtask {
  readonly #head: HeadInput
  readonly #inputs: readonly SubtaskInput[]
  #held: Arrived[] = []
  /** The operator of the chain whose end is next, once there is no more input. */
  #endAt: number | undefined

  constructor(readonly parts: DrivenSubtaskParts) {
    const head = new HeadInput(parts.chain[0], parts.node)
    this.#head = head
    this.#inputs = parts.edges.map((edges, input) => {
      const output = {
        emitWatermark: (watermark: number) => head.processWatermark(watermark, input),
        emitStatus: (idle: boolean) => head.processStatus(idle, input),
      }
      return { valve: new WatermarkValve(edges.length, output, edges), channels: edges.length, ended: 0 }
    })
  }

  /** Last operator first, so that each can be written to when the one before it opens. */
  async open(): Promise<void> {
    for (const { operator, restored } of [...this.parts.chain].reverse()) await operator.open(restored)
  }

  receive(input: number, channel: number, element: StreamElement): void {
    if (this.#held.length === 0 && this.#head.ready()) this.#process({ input, channel, element })
    else this.#held.push({ input, channel, element })
  }

  #process({ input, channel, element }: Arrived): void {
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
    this.parts.chain[0].operator.endInput()
    this.#goOnEnding(0)
  }

  /** The end goes on from operator to operator, as far as those are that have no more results to come. */
  #goOnEnding(from: number): void {
    const { chain, writers } = this.parts
    for (let at = from; at < chain.length; at++) {
      this.#endAt = at
      if (chain[at].operator.intake?.draining === true) return
      chain[at + 1]?.operator.endInput()
    }
    this.#endAt = undefined
    for (const writer of writers) writer.broadcast({ kind: 'end' })
  }

  /** Results of promises reach the operators, then what was held back; false when there was nothing. */
  takeResults(): boolean {
    if (!this.parts.processingTime.runSoon()) return false
    // Also when nothing is held back: the head may have taken only a part of a batch.
    while (this.#head.ready() && this.#held.length > 0) this.#process(this.#held.shift() as Arrived)
    if (this.#endAt !== undefined) this.#goOnEnding(this.#endAt)
    return true
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
