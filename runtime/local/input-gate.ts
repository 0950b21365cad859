import { RecordBatch, type SnapshotTarget, type StreamElement } from '../exchange/index.js'
import { WatermarkValve } from '../operators/watermark-valve.js'
import type { ChannelReceiver } from './channel.js'

export interface GateListener {
  /** `input`: 0, or 1 for the second input of an operator with two. */
  processBatch(batch: RecordBatch, input: number): void
  processWatermark(watermark: number, input: number): void
  processStatus(idle: boolean, input: number): void
  endOf(input: number): void
  /** Every channel has delivered the barrier: everything before it is processed, nothing after it (exactly once). */
  barrierAligned(checkpointId: number, target: SnapshotTarget): void
  /** No record will come on any channel. */
  endOfInput(): void
}

/**
 * The channels of one subtask: takes turns among those with something to read, combines watermarks, aligns barriers.
 *
 * I1  Exactly once: between a channel's barrier n and the alignment of n, nothing more is taken from that channel.
 * I2  A checkpoint that was aborted never aligns.
 */
export class InputGate {
  /** One for each input, with the position of each channel in it. */
  readonly #valves: readonly WatermarkValve[]
  readonly #positions: readonly number[]
  readonly #blocked: boolean[]
  readonly #ended: boolean[]
  readonly #arrived = new Map<number, Set<number>>()
  /** Aborted checkpoints some of whose barriers are still to come. */
  readonly #aborted = new Set<number>()
  #next = 0

  constructor(
    readonly channels: readonly ChannelReceiver[],
    /** The input that each channel feeds. */
    readonly inputs: readonly number[],
    readonly listener: GateListener,
    readonly exactlyOnce: boolean,
    /** The edge of the job graph that each channel belongs to. */
    edges: readonly number[],
  ) {
    this.#positions = inputs.map((input, channel) => inputs.slice(0, channel).filter((i) => i === input).length)
    this.#valves = [0, 1].map(
      (input) =>
        new WatermarkValve(
          inputs.filter((i) => i === input).length,
          {
            emitWatermark: (watermark) => listener.processWatermark(watermark, input),
            emitStatus: (idle) => listener.processStatus(idle, input),
          },
          edges.filter((_, channel) => inputs[channel] === input),
        ),
    )
    this.#blocked = channels.map(() => false)
    this.#ended = channels.map(() => false)
  }

  /** Processes one element of some channel; false when there is none to take. */
  processNext(): boolean {
    const count = this.channels.length
    for (let tried = 0; tried < count; tried++) {
      const channel = this.#next
      this.#next = channel + 1 === count ? 0 : channel + 1
      if (this.#blocked[channel]) continue
      const element = this.channels[channel].take()
      if (element === undefined) continue
      this.#process(channel, element)
      return true
    }
    return false
  }

  get hasInput(): boolean {
    return this.channels.some((channel, index) => !this.#blocked[index] && channel.length > 0)
  }

  #process(channel: number, element: StreamElement): void {
    if (element instanceof RecordBatch) {
      this.listener.processBatch(element, this.inputs[channel])
      return
    }
    switch (element.kind) {
      case 'watermark':
        this.#valves[this.inputs[channel]].inputWatermark(this.#positions[channel], element.watermark)
        break
      case 'status':
        this.#valves[this.inputs[channel]].inputStatus(this.#positions[channel], element.idle)
        break
      case 'barrier':
        this.#barrier(channel, element.checkpointId, element.target)
        break
      case 'end':
        this.#end(channel)
    }
  }

  #end(channel: number): void {
    this.#ended[channel] = true
    const input = this.inputs[channel]
    if (this.#ended.every((ended, i) => ended || this.inputs[i] !== input)) this.listener.endOf(input)
    if (this.#ended.every((ended) => ended)) this.listener.endOfInput()
  }

  #barrier(channel: number, checkpointId: number, target: SnapshotTarget): void {
    if (this.#aborted.has(checkpointId)) return
    let arrived = this.#arrived.get(checkpointId)
    if (arrived === undefined) {
      arrived = new Set()
      this.#arrived.set(checkpointId, arrived)
    }
    arrived.add(channel)
    if (this.exactlyOnce) this.#blocked[channel] = true
    if (arrived.size < this.channels.length) return
    this.#arrived.delete(checkpointId)
    // Barriers keep their order in a channel, so those of older checkpoints have all passed.
    for (const id of this.#aborted) if (id < checkpointId) this.#aborted.delete(id)
    this.#unblock()
    this.listener.barrierAligned(checkpointId, target)
  }

  /** The coordinator gave up checkpoint n; others, older ones too, may go on. */
  abort(checkpointId: number): void {
    this.#aborted.add(checkpointId)
    this.#arrived.delete(checkpointId)
    this.#unblock()
  }

  /** Channels stay blocked only for a checkpoint that is still aligning. */
  #unblock(): void {
    this.#blocked.fill(false)
    if (!this.exactlyOnce) return
    for (const arrived of this.#arrived.values()) for (const channel of arrived) this.#blocked[channel] = true
  }
}
