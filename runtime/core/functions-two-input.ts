import type { Collector, KeyedContext, OnTimerContext, ProcessContext, RichFunction } from './functions.js'
import { AbstractRichFunction } from './functions.js'
import type { OutputTag } from './output-tag.js'
import type { StateDeclaration } from './state.js'

/** One result for each element of either input (Flink's CoMapFunction). */
export interface CoMapFunction<In1, In2, Out> extends RichFunction {
  map1(value: In1): Out
  map2(value: In2): Out
}

/** Any number of results for each element of either input (Flink's CoFlatMapFunction). */
export interface CoFlatMapFunction<In1, In2, Out> extends RichFunction {
  flatMap1(value: In1, out: Collector<Out>): void
  flatMap2(value: In2, out: Collector<Out>): void
}

/** A {@link CoMapFunction} as a class with open, close and the runtime context. */
export abstract class RichCoMapFunction<In1, In2, Out> extends AbstractRichFunction implements CoMapFunction<In1, In2, Out> {
  abstract map1(value: In1): Out
  abstract map2(value: In2): Out
}
/** A {@link CoFlatMapFunction} as a class with open, close and the runtime context. */
export abstract class RichCoFlatMapFunction<In1, In2, Out> extends AbstractRichFunction implements CoFlatMapFunction<In1, In2, Out> {
  abstract flatMap1(value: In1, out: Collector<Out>): void
  abstract flatMap2(value: In2, out: Collector<Out>): void
}

/** A function on two streams without keys: time and side outputs, no timers (Flink's CoProcessFunction). */
export interface CoProcessFunction<In1, In2, Out> extends RichFunction {
  processElement1(value: In1, ctx: ProcessContext, out: Collector<Out>): void
  processElement2(value: In2, ctx: ProcessContext, out: Collector<Out>): void
}

/**
 * A function on two streams of one key, which share state and timers (Flink's KeyedCoProcessFunction).
 *
 * @example
 * orders.keyBy((o) => o.id).connect(payments.keyBy((p) => p.order)).process({
 *   state: { order: valueState<Order>() },
 *   processElement1(order, ctx) {
 *     ctx.state.order.update(order)
 *   },
 *   processElement2(payment, ctx, out: Collector<string>) {
 *     const order = ctx.state.order.value()
 *     out.collect(order === null ? `${payment.order}: paid, not ordered` : `${order.id}: paid`)
 *   },
 * })
 */
export interface KeyedCoProcessFunction<K, In1, In2, Out, S extends StateDeclaration = {}> extends RichFunction {
  /** States by name; a descriptor without a name takes the property's. */
  readonly state?: S
  processElement1(value: In1, ctx: KeyedContext<K, S>, out: Collector<Out>): void
  processElement2(value: In2, ctx: KeyedContext<K, S>, out: Collector<Out>): void
  onTimer?(timestamp: number, ctx: OnTimerContext<K, S>, out: Collector<Out>): void
}

/** What a ProcessJoinFunction sees of the pair. Timestamps are epoch ms. */
export interface JoinContext {
  readonly leftTimestamp: number
  readonly rightTimestamp: number
  /** The later of the two; the results' timestamp. */
  readonly timestamp: number
  output<X>(tag: OutputTag<X>, value: X): void
}

/** Called for each pair of an interval join (Flink's ProcessJoinFunction). */
export interface ProcessJoinFunction<In1, In2, Out> extends RichFunction {
  processElement(left: In1, right: In2, ctx: JoinContext, out: Collector<Out>): void
}

/** One result for each pair of a window join (Flink's JoinFunction). */
export interface JoinFunction<In1, In2, Out> extends RichFunction {
  join(first: In1, second: In2): Out
}

/** Any number of results for each pair of a window join (Flink's FlatJoinFunction). */
export interface FlatJoinFunction<In1, In2, Out> extends RichFunction {
  join(first: In1, second: In2, out: Collector<Out>): void
}

/**
 * Gets the elements of both sides for one key and window, each in order of arrival; either may be empty (Flink's CoGroupFunction).
 *
 * @example
 * persons.coGroup(auctions)
 *   .where((p) => p.id)
 *   .equalTo((a) => a.seller)
 *   .window(TumblingEventTimeWindows.of(10_000))
 *   .apply((newPersons, newAuctions, out: Collector<string>) => {
 *     for (const person of newPersons) out.collect(`${person.name}: ${newAuctions.length}`)
 *   })
 */
export interface CoGroupFunction<In1, In2, Out> extends RichFunction {
  coGroup(first: readonly In1[], second: readonly In2[], out: Collector<Out>): void
}
