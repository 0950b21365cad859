import { RecordBatch, type SnapshotTarget, type StreamElement } from '../exchange/index.js'
import { WatermarkValve } from '../operators/watermark-valve.js'
import type { ChannelReceiver } from './channel.js'

export interface GateListener {
  processBatch(batch: RecordBatch): void
  processWatermark(watermark: number): void
  processStatus(idle: boolean): void
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
  readonly #valve: WatermarkValve
  readonly #blocked: boolean[]
  readonly #ended: boolean[]
  readonly #arrived = new Map<number, Set<number>>()
  #aborted = 0
  #next = 0

  constructor(
    readonly channels: readonly ChannelReceiver[],
    readonly listener: GateListener,
    readonly exactlyOnce: boolean,
  ) {
    this.#valve = new WatermarkValve(channels.length, {
      emitWatermark: (watermark) => listener.processWatermark(watermark),
      emitStatus: (idle) => listener.processStatus(idle),
    })
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
      this.listener.processBatch(element)
      return
    }
    switch (element.kind) {
      case 'watermark':
        this.#valve.inputWatermark(channel, element.watermark)
        break
      case 'status':
        this.#valve.inputStatus(channel, element.idle)
        break
      case 'barrier':
        this.#barrier(channel, element.checkpointId, element.target)
        break
      case 'end':
        this.#ended[channel] = true
        if (this.#ended.every((ended) => ended)) this.listener.endOfInput()
    }
  }

  #barrier(channel: number, checkpointId: number, target: SnapshotTarget): void {
    if (checkpointId <= this.#aborted) return
    let arrived = this.#arrived.get(checkpointId)
    if (arrived === undefined) {
      arrived = new Set()
      this.#arrived.set(checkpointId, arrived)
    }
    arrived.add(channel)
    if (this.exactlyOnce) this.#blocked[channel] = true
    if (arrived.size < this.channels.length) return
    this.#arrived.delete(checkpointId)
    this.#unblock()
    this.listener.barrierAligned(checkpointId, target)
  }

  /** The coordinator gave up checkpoint n and those before it. */
  abort(checkpointId: number): void {
    this.#aborted = Math.max(this.#aborted, checkpointId)
    for (const id of this.#arrived.keys()) if (id <= checkpointId) this.#arrived.delete(id)
    this.#unblock()
  }

  /** Channels stay blocked only for a checkpoint that is still aligning. */
  #unblock(): void {
    this.#blocked.fill(false)
    if (!this.exactlyOnce) return
    for (const arrived of this.#arrived.values()) for (const channel of arrived) this.#blocked[channel] = true
  }
}
