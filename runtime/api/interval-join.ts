import { MillraceError, type OutputTag, type ProcessJoinFunction } from '../core/index.js'
import { IntervalJoinOperator } from '../operators/interval-join-operator.js'
import type { DataStream } from './data-stream.js'
import type { KeyedStream } from './keyed-stream.js'

/**
 * Two keyed streams to be joined by time (Flink's KeyedStream.IntervalJoin).
 *
 * @example
 * clicks.keyBy((c) => c.user)
 *   .intervalJoin(orders.keyBy((o) => o.user))
 *   .between(0, 60_000) // an order within a minute after the click
 *   .process({
 *     processElement(click, order, ctx, out: Collector<string>) {
 *       out.collect(`${click.page} -> ${order.item} after ${ctx.rightTimestamp - ctx.leftTimestamp} ms`)
 *     },
 *   })
 */
export class IntervalJoin<T1, T2, K> {
  /** @internal */
  constructor(
    /** @internal */ readonly left: KeyedStream<T1, K>,
    /** @internal */ readonly right: KeyedStream<T2, K>,
  ) {}

  /**
   * Pairs whose right timestamp is from left + `lowerMs` to left + `upperMs` (event time, whole ms, may be negative), both included.
   * Throws OPTION_INVALID.
   */
  between(lowerMs: number, upperMs: number): IntervalJoined<T1, T2, K> {
    if (!Number.isSafeInteger(lowerMs) || !Number.isSafeInteger(upperMs) || lowerMs > upperMs) {
      throw new MillraceError('OPTION_INVALID', {
        what: `an interval join cannot be between ${lowerMs} and ${upperMs} ms`,
        todo: 'Both bounds must be whole milliseconds, and the lower one must not be above the upper one.',
      })
    }
    return new IntervalJoined(this, {
      lowerMs,
      upperMs,
      lowerExclusive: false,
      upperExclusive: false,
      leftLateTag: undefined,
      rightLateTag: undefined,
    })
  }
}

interface IntervalJoinSpec<T1, T2> {
  readonly lowerMs: number
  readonly upperMs: number
  readonly lowerExclusive: boolean
  readonly upperExclusive: boolean
  readonly leftLateTag: OutputTag<T1> | undefined
  readonly rightLateTag: OutputTag<T2> | undefined
}

/** An interval join with its bounds (Flink's IntervalJoined). Immutable. */
export class IntervalJoined<T1, T2, K> {
  readonly #join: IntervalJoin<T1, T2, K>
  readonly #spec: IntervalJoinSpec<T1, T2>

  /** @internal */
  constructor(join: IntervalJoin<T1, T2, K>, spec: IntervalJoinSpec<T1, T2>) {
    this.#join = join
    this.#spec = spec
  }

  #with(change: Partial<IntervalJoinSpec<T1, T2>>): IntervalJoined<T1, T2, K> {
    return new IntervalJoined(this.#join, { ...this.#spec, ...change })
  }

  lowerBoundExclusive(): IntervalJoined<T1, T2, K> {
    return this.#with({ lowerExclusive: true })
  }
  upperBoundExclusive(): IntervalJoined<T1, T2, K> {
    return this.#with({ upperExclusive: true })
  }
  /** Where left elements go that are behind the watermark; without it they are dropped and counted. */
  sideOutputLeftLateData(leftLateTag: OutputTag<T1>): IntervalJoined<T1, T2, K> {
    return this.#with({ leftLateTag })
  }
  sideOutputRightLateData(rightLateTag: OutputTag<T2>): IntervalJoined<T1, T2, K> {
    return this.#with({ rightLateTag })
  }

  /** Calls `fn` for each pair; results have the later timestamp of the two. Records without timestamps fail the job (TIMESTAMP_MISSING). */
  process<Out>(fn: ProcessJoinFunction<T1, T2, Out>): DataStream<Out> {
    const { lowerMs, upperMs, lowerExclusive, upperExclusive, leftLateTag, rightLateTag } = this.#spec
    const options = {
      lowerBoundMs: lowerExclusive ? lowerMs + 1 : lowerMs,
      upperBoundMs: upperExclusive ? upperMs - 1 : upperMs,
      leftLateTag,
      rightLateTag,
    }
    const { left, right } = this.#join
    return left.transformWith(
      right,
      { kind: 'interval-join', name: 'IntervalJoin', create: () => new IntervalJoinOperator<T1, T2, Out>(fn, options) },
      { keySelector: left.keySelector, keySelector2: right.keySelector },
    )
  }
}
