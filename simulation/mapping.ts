import type { MemoryStream } from '../runtime/backends/memory/index.js'
import type { StreamRecord } from '../runtime/task/record-stream-source.js'
import {
  EventSourceMapping,
  type MappingFaults,
  type MappingStart,
  type MappingStats,
  mappedStream,
} from '../runtime/testing/event-source-mapping.js'
import type { FaultKind } from './faults.js'
import type { Machine } from './program.js'

export interface MappingOptions {
  readonly stream: MemoryStream
  readonly start: MappingStart
  readonly mostRecords: number
  readonly windowMs: number
  readonly bisect: boolean
  /** Invokes the function with a batch of the split. */
  invoke(splitId: string, records: readonly StreamRecord[]): Promise<void>
}

/** What a mapping does wrong by itself, and how it counts it. */
const OWN_FAULTS: readonly (readonly [kind: FaultKind, fault: keyof MappingFaults, stat: keyof MappingStats])[] = [
  ['batch-repeated', 'duplicate', 'duplicated'],
  ['other-boundaries', 'splitRetry', 'splitRetries'],
  ['answer-lost', 'loseAnswer', 'lostAnswers'],
  ['position-back', 'reDeliverOld', 'wentBack'],
  ['given-up', 'timeout', 'gaveUpEarly'],
]

/** An event source mapping that takes part in the world's faults. */
export class Mapping {
  readonly #mapping: EventSourceMapping
  #disabled = false
  /** Who disables it later must not have been overtaken. */
  #turn = 0
  #pauses = 0

  constructor(
    readonly machine: Machine,
    readonly options: MappingOptions,
  ) {
    const { scheduler, chance } = machine
    const { stream, mostRecords, windowMs, start, bisect } = options
    this.#mapping = new EventSourceMapping(
      mappedStream(stream),
      async ({ splitId, records }) => {
        await this.#deliver(splitId, records)
        return { failedFrom: undefined }
      },
      { now: () => scheduler.now, random: () => chance.next(), sleep: (ms) => scheduler.sleep(ms) },
      {
        batchSize: mostRecords,
        batchingWindowMs: windowMs,
        start,
        bisectOnError: bisect,
        retryDelayMs: 1_000,
        timeoutMs: Number.POSITIVE_INFINITY,
        pollMs: Number.POSITIVE_INFINITY,
      },
    )
    this.#setFaults()
    this.#mapping.start()
  }

  #setFaults(): void {
    const { faults } = this.machine
    const own: Partial<Record<keyof MappingFaults, number>> = {}
    for (const [kind, fault] of OWN_FAULTS) if (!faults.over && !faults.without.has(kind)) own[fault] = faults.rates[kind] ?? 0
    this.#mapping.setFaults(own)
  }

  /** Nothing goes wrong any more, pauses end; what went wrong is counted. */
  endFaults(): void {
    this.#setFaults()
    this.#pauses = 0
    if (!this.#disabled) this.#mapping.enable()
    const { stats } = this.#mapping
    for (const [kind, , stat] of OWN_FAULTS) if (stats[stat] > 0) this.machine.faults.happened(kind, stats[stat])
  }

  async #deliver(splitId: string, records: readonly StreamRecord[]): Promise<void> {
    const { faults, chance, scheduler, longestPauseMs } = this.machine
    if (faults.draw(['batch-doubled']) !== undefined) {
      scheduler.after(chance.below(200), () => void this.options.invoke(splitId, records).catch(() => {}))
    }
    if (faults.draw(['delivery-paused']) !== undefined) this.#pause(chance.pick([1_000, 30_000, 300_000, longestPauseMs]))
    await this.options.invoke(splitId, records)
  }

  #pause(ms: number): void {
    this.#pauses++
    this.#mapping.disable()
    this.machine.scheduler.after(ms, () => {
      if (this.#pauses === 0) return
      this.#pauses--
      if (this.#pauses === 0 && !this.#disabled) this.#mapping.enable()
    })
  }

  wake(): void {
    this.#mapping.wake()
  }

  disable(): void {
    this.#disabled = true
    this.#mapping.disable()
  }

  /** Unless it is enabled once more before: what was to replace it did not come. */
  disableAfter(ms: number): void {
    const turn = ++this.#turn
    this.machine.scheduler.after(ms, () => {
      if (turn === this.#turn) this.disable()
    })
  }

  enable(): void {
    this.#turn++
    this.#disabled = false
    if (this.#pauses === 0) this.#mapping.enable()
  }

  /** Nothing to deliver and nothing under way. */
  get idle(): boolean {
    return this.#mapping.idle
  }
}
