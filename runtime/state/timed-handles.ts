import {
  AggregatingStateDescriptor,
  type AnyStateDescriptor,
  type AppendingStateHandle,
  type ListState,
  ListStateDescriptor,
  type MapState,
  MapStateDescriptor,
  MillraceError,
  ReducingStateDescriptor,
  type ValueState,
  ValueStateDescriptor,
} from '../core/index.js'
import type { ExpiredRows } from './expired-rows.js'
import type { TimedValue, TimeToLive } from './time-to-live.js'

/** A handle that can be told that its current value was changed in place. */
interface Touchable {
  touch(): void
}

/** The state as it stands in the table: the same kind, of values with their times. */
export function timedDescriptor(descriptor: AnyStateDescriptor, ttl: TimeToLive): AnyStateDescriptor {
  const { name } = descriptor
  switch (descriptor.kind) {
    case 'value':
      return new ValueStateDescriptor<TimedValue<unknown>>(name)
    case 'list':
      return new ListStateDescriptor<TimedValue<unknown>>(name)
    case 'map':
      return new MapStateDescriptor<unknown, TimedValue<unknown>>(name)
    case 'reducing': {
      const reduce = descriptor.reduceFunction
      const usable = (timed: TimedValue<unknown>) => !ttl.expired(timed) || ttl.showsExpired
      return new ReducingStateDescriptor<TimedValue<unknown>>(name, (a, b) => (usable(a) ? ttl.timed(reduce(a.value, b.value)) : b))
    }
    case 'aggregating': {
      const { aggregateFunction } = descriptor
      return new AggregatingStateDescriptor<unknown, TimedValue<unknown>, TimedValue<unknown>>(name, {
        createAccumulator: () => ttl.timed(aggregateFunction.createAccumulator()),
        add: (value, acc) => {
          const usable = !ttl.expired(acc) || ttl.showsExpired
          return ttl.timed(aggregateFunction.add(value, usable ? acc.value : aggregateFunction.createAccumulator()))
        },
        getResult: (acc) => acc,
      })
    }
    default:
      throw new MillraceError('STATE_DESCRIPTOR', { what: 'this is not a state descriptor', todo: 'Use valueState(), listState(), mapState() …' })
  }
}

/** The handle of a state with a time to live over `timed`, the handle of the values with their times (Flink's Ttl…State). */
export function timedHandle(descriptor: AnyStateDescriptor, ttl: TimeToLive, timed: unknown, cleaner: ExpiredRows | undefined): unknown {
  switch (descriptor.kind) {
    case 'value':
      return new TimedValueState(ttl, timed as ValueState<TimedValue<unknown>> & Touchable, cleaner, descriptor.options.defaultValue)
    case 'list':
      return new TimedListState(ttl, timed as ListState<TimedValue<unknown>> & Touchable, cleaner)
    case 'map':
      return new TimedMapState(ttl, timed as MapState<unknown, TimedValue<unknown>> & Touchable, cleaner)
    case 'reducing':
      return new TimedAppendingState(
        ttl,
        timed as AppendingStateHandle<unknown, TimedValue<unknown>> & Touchable,
        cleaner,
        (value) => ttl.timed(value),
        (acc) => acc,
      )
    case 'aggregating':
      return new TimedAppendingState(
        ttl,
        timed as AppendingStateHandle<unknown, TimedValue<unknown>> & Touchable,
        cleaner,
        (value) => value,
        (acc) => descriptor.aggregateFunction.getResult(acc),
      )
  }
}

abstract class TimedState<H extends Touchable> {
  constructor(
    protected readonly ttl: TimeToLive,
    protected readonly timed: H,
    readonly cleaner: ExpiredRows | undefined,
  ) {}

  /** At the start of each use. */
  protected accessed(): void {
    this.cleaner?.step()
  }

  /** Whether a value that was found may be given out; an expired one is removed, another one perhaps renewed. */
  protected admit(found: TimedValue<unknown>, remove: () => void, renewed = () => this.timed.touch()): boolean {
    if (this.ttl.expired(found)) {
      remove()
      return this.ttl.showsExpired
    }
    if (this.ttl.renewedByReading) {
      found.at = this.ttl.now()
      renewed()
    }
    return true
  }
}

class TimedValueState<T> extends TimedState<ValueState<TimedValue<T>> & Touchable> implements ValueState<T> {
  constructor(
    ttl: TimeToLive,
    timed: ValueState<TimedValue<T>> & Touchable,
    cleaner: ExpiredRows | undefined,
    readonly defaultValue: T | undefined,
  ) {
    super(ttl, timed, cleaner)
  }

  value(): T | null {
    this.accessed()
    const found = this.timed.value()
    return found !== null && this.admit(found, () => this.timed.clear()) ? found.value : (this.defaultValue ?? null)
  }
  update(value: T | null): void {
    this.accessed()
    this.timed.update(value === null || value === undefined ? null : this.ttl.timed(value))
  }
  clear(): void {
    this.timed.clear()
  }
}

class TimedListState<T> extends TimedState<ListState<TimedValue<T>> & Touchable> implements ListState<T> {
  get(): Iterable<T> {
    this.accessed()
    const found = [...this.timed.get()]
    const live = found.filter((timed) => !this.ttl.expired(timed))
    if (live.length === 0) this.timed.clear()
    else if (this.ttl.renewedByReading) {
      for (const timed of live) timed.at = this.ttl.now()
      this.timed.update(live)
    }
    return (this.ttl.showsExpired ? found : live).map(({ value }) => value)
  }
  add(value: T): void {
    this.accessed()
    this.timed.add(this.ttl.timed(value))
  }
  addAll(values: Iterable<T>): void {
    this.accessed()
    this.timed.addAll([...values].map((value) => this.ttl.timed(value)))
  }
  update(values: Iterable<T>): void {
    this.accessed()
    this.timed.update([...values].map((value) => this.ttl.timed(value)))
  }
  clear(): void {
    this.timed.clear()
  }
}

class TimedMapState<K, V> extends TimedState<MapState<K, TimedValue<V>> & Touchable> implements MapState<K, V> {
  get(key: K): V | undefined {
    return this.#find(key)?.value
  }
  has(key: K): boolean {
    return this.#find(key) !== undefined
  }
  #find(key: K): TimedValue<V> | undefined {
    this.accessed()
    const found = this.timed.get(key)
    return found !== undefined && this.#admitEntry(key, found) ? found : undefined
  }
  #admitEntry(key: K, found: TimedValue<V>): boolean {
    return this.admit(
      found,
      () => this.timed.remove(key),
      () => this.timed.put(key, found),
    )
  }
  put(key: K, value: V): void {
    this.accessed()
    this.timed.put(key, this.ttl.timed(value))
  }
  putAll(entries: Iterable<readonly [K, V]>): void {
    for (const [key, value] of entries) this.put(key, value)
  }
  remove(key: K): void {
    this.accessed()
    this.timed.remove(key)
  }
  *entries(): IterableIterator<[K, V]> {
    this.accessed()
    for (const [key, found] of this.timed.entries()) {
      if (this.#admitEntry(key, found)) yield [key, found.value]
    }
  }
  *keys(): IterableIterator<K> {
    for (const [key] of this.entries()) yield key
  }
  *values(): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value
  }
  /** Without background clean-up, expired entries that nobody has met count, as in Flink. */
  isEmpty(): boolean {
    this.accessed()
    if (!this.ttl.background) return this.timed.isEmpty()
    for (const found of this.timed.values()) if (!this.ttl.expired(found)) return false
    return true
  }
  clear(): void {
    this.timed.clear()
  }
}

class TimedAppendingState<In, Acc, Out>
  extends TimedState<AppendingStateHandle<unknown, TimedValue<Acc>> & Touchable>
  implements AppendingStateHandle<In, Out>
{
  constructor(
    ttl: TimeToLive,
    timed: AppendingStateHandle<unknown, TimedValue<Acc>> & Touchable,
    cleaner: ExpiredRows | undefined,
    readonly toAppend: (value: In) => unknown,
    readonly result: (acc: Acc) => Out,
  ) {
    super(ttl, timed, cleaner)
  }

  get(): Out | null {
    this.accessed()
    const found = this.timed.get()
    return found !== null && this.admit(found, () => this.timed.clear()) ? this.result(found.value) : null
  }
  add(value: In): void {
    this.accessed()
    this.timed.add(this.toAppend(value))
  }
  clear(): void {
    this.timed.clear()
  }
}
