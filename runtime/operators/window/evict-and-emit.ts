import type { Collector, Window } from '../../core/index.js'
import type { StateEntry, StateTable } from '../../state/index.js'
import type { Evictor, TimestampedValue } from './evictor.js'
import type { OperatorWindowContext } from './window-contexts.js'
import type { InternalWindowFunction } from './window-function.js'

/** Fires a window that keeps its elements: evicts before, runs the function, evicts after; what is left becomes the contents. */
export function evictAndEmit<In, Acc, Out, W extends Window>(
  evictor: Evictor<In, W>,
  table: StateTable<Acc>,
  entry: StateEntry<Acc>,
  key: unknown,
  windowFunction: InternalWindowFunction<Acc, Out, W>,
  context: OperatorWindowContext<W>,
  out: Collector<Out>,
): void {
  const { window } = context
  const elements = (entry.value as readonly TimestampedValue<In>[]).slice()
  evictor.evictBefore(elements, elements.length, window, context)
  windowFunction.process(key, context, elements.map((element) => element.value) as Acc, out)
  evictor.evictAfter(elements, elements.length, window, context)
  if (elements.length === 0) table.remove(entry)
  else if (elements.length !== (entry.value as readonly unknown[]).length) {
    entry.value = elements as Acc
    table.touch(entry)
  }
}
