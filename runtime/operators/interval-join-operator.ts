import {
  type JoinContext,
  MapStateDescriptor,
  MillraceError,
  NO_TIMESTAMP,
  type OutputTag,
  type ProcessJoinFunction,
  type Window,
} from '../core/index.js'
import type { StateTable, Timer } from '../state/index.js'
import { CoFunctionOperator } from './co-function-operator.js'
import { TimestampedCollector } from './function-operator.js'
import type { Output } from './stream-operator.js'
import { TimerSweep, type TimerTarget } from './timer-sweep.js'
import { userError } from './user-error.js'

export interface IntervalJoinOptions<In1, In2> {
  /** ms; a pair's right timestamp minus its left one is from `lowerBoundMs` to `upperBoundMs`, both included. */
  readonly lowerBoundMs: number
  readonly upperBoundMs: number
  readonly leftLateTag: OutputTag<In1> | undefined
  readonly rightLateTag: OutputTag<In2> | undefined
}

/** The elements of one key and side, by timestamp. */
type Buffer = Map<number, unknown[]>

/** Says which side's buffer a clean-up timer is for. */
class SideNamespace implements Window {
  readonly maxTimestamp = Number.POSITIVE_INFINITY
  constructor(readonly id: 'left' | 'right') {}
}

const LEFT = new SideNamespace('left')
const RIGHT = new SideNamespace('right')

/**
 * Flink's IntervalJoinOperator. Elements of both sides are kept by timestamp until the watermark rules out partners; an element that is
 * behind the watermark is late, whether or not partners are still there.
 */
export class IntervalJoinOperator<In1, In2, Out>
  extends CoFunctionOperator<In1, In2, Out, ProcessJoinFunction<In1, In2, Out>>
  implements TimerTarget
{
  #left!: StateTable<Buffer>
  #right!: StateTable<Buffer>
  #pair!: PairContext
  #collector!: TimestampedCollector<Out>

  constructor(
    fn: ProcessJoinFunction<In1, In2, Out>,
    readonly options: IntervalJoinOptions<In1, In2>,
  ) {
    super(fn)
  }

  override open(restored: readonly unknown[]): void {
    const backend = this.keyed
    backend.namespaceCodec = { toData: (side) => side.id, fromData: (id) => (id === 'left' ? LEFT : RIGHT) }
    this.#left = backend.table(new MapStateDescriptor('left')) as StateTable<Buffer>
    this.#right = backend.table(new MapStateDescriptor('right')) as StateTable<Buffer>
    this.sweep = new TimerSweep(backend, this.context.processingTime, this, this.output)
    this.sweep.open()
    this.#collector = new TimestampedCollector(this.output)
    this.#pair = new PairContext(this.output)
    super.open(restored)
  }

  processElement(left: In1, timestamp: number): void {
    const { lowerBoundMs, upperBoundMs, leftLateTag } = this.options
    if (this.#isLate(timestamp)) {
      this.#late(left, timestamp, leftLateTag)
      return
    }
    this.#add(this.#left, left, timestamp)
    for (const [other, rights] of this.#buffer(this.#right)) {
      if (other < timestamp + lowerBoundMs || other > timestamp + upperBoundMs) continue
      for (const right of rights) this.#join(left, right as In2, timestamp, other)
    }
    this.#registerCleanup(timestamp, upperBoundMs, LEFT)
  }

  processElement2(right: In2, timestamp: number): void {
    const { lowerBoundMs, upperBoundMs, rightLateTag } = this.options
    if (this.#isLate(timestamp)) {
      this.#late(right, timestamp, rightLateTag)
      return
    }
    this.#add(this.#right, right, timestamp)
    for (const [other, lefts] of this.#buffer(this.#left)) {
      if (other < timestamp - upperBoundMs || other > timestamp - lowerBoundMs) continue
      for (const left of lefts) this.#join(left as In1, right, other, timestamp)
    }
    this.#registerCleanup(timestamp, -lowerBoundMs, RIGHT)
  }

  #isLate(timestamp: number): boolean {
    if (timestamp === NO_TIMESTAMP) throw this.#timestampMissing()
    return timestamp < (this.sweep as TimerSweep).currentWatermark
  }

  #timestampMissing(): MillraceError {
    const { name, uid } = this.context
    return new MillraceError('TIMESTAMP_MISSING', {
      what: 'a record of an interval join has no timestamp',
      where: `operator "${name}" (uid ${uid})`,
      todo: "Call both streams' assignTimestampsAndWatermarks before keyBy.",
      uid,
    })
  }

  #late<T>(value: T, timestamp: number, tag: OutputTag<T> | undefined): void {
    if (tag === undefined) this.context.metrics.late++
    else this.output.collectSide(tag.id, value, timestamp)
  }

  #buffer(table: StateTable<Buffer>): Iterable<[number, unknown[]]> {
    return table.get(this.keyed.currentKey, null)?.value ?? []
  }

  #add(table: StateTable<Buffer>, value: unknown, timestamp: number): void {
    const key = this.keyed.currentKey
    const entry = table.get(key, null)
    if (entry === null) {
      table.insert(key, null, new Map([[timestamp, [value]]]))
      return
    }
    const same = entry.value.get(timestamp)
    if (same === undefined) entry.value.set(timestamp, [value])
    else same.push(value)
    table.touchPut(entry, timestamp)
  }

  /** The last moment at which the other side can have a partner that is not late: `reachMs` after the element, if that is after it. */
  #registerCleanup(timestamp: number, reachMs: number, side: SideNamespace): void {
    this.keyed.eventTimers.register(timestamp + Math.max(0, reachMs), this.keyed.currentKey, side)
  }

  #join(left: In1, right: In2, leftTimestamp: number, rightTimestamp: number): void {
    const timestamp = Math.max(leftTimestamp, rightTimestamp)
    this.#pair.leftTimestamp = leftTimestamp
    this.#pair.rightTimestamp = rightTimestamp
    this.#pair.timestamp = timestamp
    this.#collector.timestamp = timestamp
    try {
      this.fn.processElement(left, right, this.#pair, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'the join function')
    }
  }

  onEventTime({ time, namespace }: Timer): void {
    const { lowerBoundMs, upperBoundMs } = this.options
    if (namespace?.id === LEFT.id) this.#forget(this.#left, time - Math.max(0, upperBoundMs))
    else this.#forget(this.#right, time - Math.max(0, -lowerBoundMs))
  }

  #forget(table: StateTable<Buffer>, timestamp: number): void {
    const entry = table.get(this.keyed.currentKey, null)
    if (entry === null || !entry.value.delete(timestamp)) return
    if (entry.value.size === 0) table.remove(entry)
    else table.touchRemoved(entry, timestamp)
  }

  onProcessingTime(): void {}
}

class PairContext implements JoinContext {
  leftTimestamp = NO_TIMESTAMP
  rightTimestamp = NO_TIMESTAMP
  timestamp = NO_TIMESTAMP

  constructor(readonly results: Output<unknown>) {}

  output<X>(tag: OutputTag<X>, value: X): void {
    this.results.collectSide(tag.id, value, this.timestamp)
  }
}
