import type { OperatorMetrics } from '../operators/operator-metrics.js'
import type { Output, StreamOperator } from '../operators/stream-operator.js'
import type { Any } from '../plan/index.js'
import type { RecordWriter } from './record-writer.js'

type Operator = StreamOperator<Any, Any>

/** An operator of the chain as an output: a direct call. */
export class ChainedOutput implements Output<unknown> {
  constructor(
    readonly operator: Operator,
    readonly metrics: OperatorMetrics,
    readonly upstream: OperatorMetrics,
  ) {}

  collect(value: unknown, timestamp: number): void {
    this.upstream.recordsOut++
    this.metrics.recordsIn++
    this.operator.processElement(value, timestamp)
  }
  emitWatermark(watermark: number): void {
    this.metrics.watermark = watermark
    this.operator.processWatermark(watermark)
  }
  emitStatus(idle: boolean): void {
    this.operator.processStatus(idle)
  }
  collectSide(): void {}
}

/** An edge to another vertex as an output. */
export class WriterOutput implements Output<unknown> {
  constructor(
    readonly writer: RecordWriter,
    readonly upstream: OperatorMetrics,
  ) {}

  collect(value: unknown, timestamp: number): void {
    this.upstream.recordsOut++
    this.writer.write(value, timestamp)
  }
  emitWatermark(watermark: number): void {
    this.writer.broadcast({ kind: 'watermark', watermark })
  }
  emitStatus(idle: boolean): void {
    this.writer.broadcast({ kind: 'status', idle })
  }
  collectSide(): void {}
}

/** Several readers of one operator, main output and side outputs. */
export class FanOutput implements Output<unknown> {
  readonly #all: readonly Output<unknown>[]

  constructor(
    readonly main: readonly Output<unknown>[],
    readonly sides: ReadonlyMap<string, readonly Output<unknown>[]>,
    readonly upstream: OperatorMetrics,
  ) {
    this.#all = [...main, ...[...sides.values()].flat()]
  }

  collect(value: unknown, timestamp: number): void {
    if (this.main.length === 0) this.upstream.recordsOut++
    for (let i = 0; i < this.main.length; i++) this.main[i].collect(value, timestamp)
  }
  emitWatermark(watermark: number): void {
    for (const output of this.#all) output.emitWatermark(watermark)
  }
  emitStatus(idle: boolean): void {
    for (const output of this.#all) output.emitStatus(idle)
  }
  collectSide(tagId: string, value: unknown, timestamp: number): void {
    const outputs = this.sides.get(tagId)
    if (outputs === undefined) return // as in Flink: what nobody asked for is not kept
    for (let i = 0; i < outputs.length; i++) outputs[i].collect(value, timestamp)
  }
}
