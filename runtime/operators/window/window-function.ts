import type {
  AggregateFunction,
  Collector,
  ProcessAllWindowFunction,
  ProcessWindowFunction,
  RichFunction,
  Window,
  WindowContext,
} from '../../core/index.js'

/** What a firing window does with its contents; the form all kinds of window functions are brought to. */
export interface InternalWindowFunction<Acc, Out, W extends Window> extends RichFunction {
  process(key: unknown, context: WindowContext<W>, contents: Acc, out: Collector<Out>): void
  clear?(context: WindowContext<W>): void
}

function lifecycle<W extends Window>(fn: RichFunction & { clear?(context: WindowContext<W>): void }) {
  return {
    open: fn.open === undefined ? undefined : (context: Parameters<NonNullable<RichFunction['open']>>[0]) => fn.open?.(context),
    close: fn.close === undefined ? undefined : () => fn.close?.(),
    clear: fn.clear === undefined ? undefined : (context: WindowContext<W>) => fn.clear?.(context),
  }
}

/** Emits the contents as they are (reduce without a window function). */
export function emitContents<T, W extends Window>(): InternalWindowFunction<T, T, W> {
  return { process: (_key, _context, contents, out) => out.collect(contents) }
}

/** Emits an aggregate's result. */
export function emitResult<Acc, Out, W extends Window>(aggregate: AggregateFunction<never, Acc, Out>): InternalWindowFunction<Acc, Out, W> {
  return { process: (_key, _context, contents, out) => out.collect(aggregate.getResult(contents)) }
}

/** Hands a window's one pre-aggregated value to a ProcessWindowFunction. */
export function processSingle<Acc, In, Out, K, W extends Window>(
  result: (contents: Acc) => In,
  fn: ProcessWindowFunction<In, Out, K, W>,
): InternalWindowFunction<Acc, Out, W> {
  return { ...lifecycle(fn), process: (key, context, contents, out) => fn.process(key as K, context, [result(contents)], out) }
}

/** Hands all elements to a ProcessWindowFunction. */
export function processElements<In, Out, K, W extends Window>(fn: ProcessWindowFunction<In, Out, K, W>): InternalWindowFunction<In[], Out, W> {
  return { ...lifecycle(fn), process: (key, context, contents, out) => fn.process(key as K, context, contents, out) }
}

/** A windowAll function as one that ignores its (constant) key. */
export function withoutKey<In, Out, W extends Window>(fn: ProcessAllWindowFunction<In, Out, W>): ProcessWindowFunction<In, Out, unknown, W> {
  return { ...lifecycle(fn), process: (_key, context, elements, out) => fn.process(context, elements, out) }
}
