import { compileJob, type DataStream, defineJob } from '../../runtime/api/index.js'
import { MAX_WATERMARK, NO_TIMESTAMP, OutputTag } from '../../runtime/core/index.js'
import { RecordBatch } from '../../runtime/exchange/index.js'
import type { Any, StreamNode } from '../../runtime/plan/index.js'
import { decodeSegment } from '../../runtime/state/index.js'
import { HeadInput } from '../../runtime/task/head-input.js'
import { buildChain, type ChainedOperator, type ChainOptions } from '../../runtime/task/operator-chain.js'
import { SubtaskProcessingTime } from '../../runtime/task/processing-time.js'

export interface Ev {
  readonly k: string
  readonly v: number
  readonly t?: string
}

export type Item =
  | { readonly value: unknown; readonly ts: number | null }
  | { readonly side: string; readonly value: unknown; readonly ts: number | null }
  | { readonly watermark: number }
  | { readonly idle: boolean }

export interface Snapshot {
  readonly keyed: Uint8Array | undefined
  readonly operatorState: readonly unknown[]
}

type Define = (a: DataStream<Ev>, b: DataStream<Ev>) => DataStream<Any>

/** One subtask of an operator with two inputs (or one), driven element by element: what it emits stands in `items` until it is taken. */
export class TwoInputDriver {
  readonly #define: Define
  readonly #chained: ChainedOperator
  readonly #head: HeadInput
  readonly #time: SubtaskProcessingTime
  readonly #clock = { time: 0, now: () => this.#clock.time, monotonic: () => this.#clock.time }
  readonly #ended = [false, false]
  #items: Item[] = []

  private constructor(define: Define, sides: readonly string[], restored?: Snapshot) {
    this.#define = define
    const job = compileJob(
      defineJob('driver', (env) => {
        env.disableOperatorChaining()
        const result = define(
          env.fromCollection<Ev>([]).map((e) => e),
          env.fromCollection<Ev>([]).map((e) => e),
        )
        result.uid('two').collect('out')
        for (const side of sides) result.getSideOutput(new OutputTag<unknown>(side)).collect(side)
      }),
      {},
    )
    this.#time = new SubtaskProcessingTime(this.#clock)
    const [chained] = buildChain({
      job,
      vertex: job.graph.vertices.find((v) => v.id === 'two'),
      subtask: 0,
      attempt: 0,
      processingTime: this.#time,
      restoredCheckpointId: 0,
      restored: new Map(
        restored && [['two', { segments: restored.keyed === undefined ? [] : [decodeSegment(restored.keyed, 'driver')], ...restored }]],
      ),
      trackChanges: true,
      writers: new Map([['two', [null, ...sides].map((sideTag) => ({ sideTag, writer: this.#writer(sideTag) }))]]),
    } as unknown as ChainOptions)
    this.#chained = chained
    this.#head = new HeadInput(chained, job.nodes.get('two') as StreamNode)
  }

  static async open(define: Define, sides: readonly string[] = [], restored?: Snapshot): Promise<TwoInputDriver> {
    const driver = new TwoInputDriver(define, sides, restored)
    await driver.#chained.operator.open(restored?.operatorState ?? [])
    return driver
  }

  #writer(side: string | null) {
    return {
      write: (value: unknown, timestamp: number) => {
        const ts = timestamp === NO_TIMESTAMP ? null : timestamp
        this.#items.push(side === null ? { value, ts } : { side, value, ts })
      },
      broadcast: (element: { kind: string; watermark: number; idle: boolean }) => {
        if (side !== null) return
        this.#items.push(element.kind === 'watermark' ? { watermark: element.watermark } : { idle: element.idle })
      },
    }
  }

  get late(): number {
    return this.#chained.metrics.late
  }
  get watermarkMetric(): number {
    return this.#chained.metrics.watermark
  }
  get stateEntries(): number {
    return this.#chained.keyed?.backend.entries ?? 0
  }

  /** What was emitted since the last call. */
  taken(): Item[] {
    return this.#items.splice(0)
  }
  values(): unknown[] {
    return this.taken().flatMap((item) => ('value' in item && !('side' in item) ? [item.value] : []))
  }

  element(input: number, value: Ev, ts: number | null = null): this {
    const batch = new RecordBatch(1)
    batch.values[0] = value
    batch.timestamps[0] = ts ?? NO_TIMESTAMP
    batch.size = 1
    this.#head.processBatch(batch, input)
    return this
  }
  watermark(input: number, watermark: number): this {
    this.#head.processWatermark(watermark, input)
    return this
  }
  watermarks(watermark: number): this {
    return this.watermark(0, watermark).watermark(1, watermark)
  }
  status(input: number, idle: boolean): this {
    this.#head.processStatus(idle, input)
    return this
  }
  end(input: number): this {
    this.watermark(input, MAX_WATERMARK)
    this.#head.endOf(input)
    this.#ended[input] = true
    if (this.#ended.every((ended) => ended)) this.#chained.operator.endInput()
    return this
  }
  processingTime(time: number): this {
    this.#clock.time = time
    this.#time.fireDue()
    return this
  }

  /** Sets the clock; what is due waits for the next `processingTime`. */
  clock(time: number): this {
    this.#clock.time = time
    return this
  }

  /** How many timers may fire from here on. */
  sweepBudget(timers: number): this {
    const backend = this.#chained.keyed?.backend
    if (backend !== undefined) backend.sweepBudget = timers
    return this
  }
  timersSuspended(suspended: boolean): this {
    const backend = this.#chained.keyed?.backend
    if (backend !== undefined) backend.timersSuspended = suspended
    return this
  }
  get sweepPending(): boolean {
    return this.#chained.operator.sweepPending
  }
  resumeSweep(): this {
    this.#chained.operator.resumeSweep()
    return this
  }

  async snapshot(): Promise<Snapshot> {
    const operatorState = await this.#chained.operator.snapshotState(1)
    return { keyed: this.#chained.keyed?.backend.snapshotAll(), operatorState }
  }

  /** The same operator anew, from a snapshot of this one. */
  async restart(sides: readonly string[] = []): Promise<TwoInputDriver> {
    const snapshot = await this.snapshot()
    await this.#chained.operator.close()
    return TwoInputDriver.open(this.#define, sides, snapshot)
  }
}
