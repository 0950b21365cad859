import {
  type AggregateFunction,
  type AnyStateDescriptor,
  type AppendingStateHandle,
  type ListState,
  type MapState,
  MillraceError,
  type StateHandleOf,
  type ValueState,
  type ValueStateDescriptor,
} from '../core/index.js'
import { REMOVED } from './change-list.js'
import { ExpiredRows } from './expired-rows.js'
import type { KeyedStateBackend } from './keyed-state-backend.js'
import { fromInternalKey, type InternalKey, toInternalKey } from './keys.js'
import type { Namespace, StateEntry, StateTable } from './state-table.js'
import { mergeTimed, TimeToLive } from './time-to-live.js'
import { timedDescriptor, timedHandle } from './timed-handles.js'

/** Where a handle looks: the backend's current key, and the namespace set here (null but for windows and triggers). */
export class StateScope {
  namespace: Namespace = null
  constructor(readonly backend: KeyedStateBackend) {}
}

/** The handle through which functions use a declared state, always of the scope's current key and namespace. */
export function stateHandle<D extends AnyStateDescriptor>(scope: StateScope, descriptor: D): StateHandleOf<D>
export function stateHandle(scope: StateScope, descriptor: AnyStateDescriptor): unknown {
  const table = scope.backend.table(descriptor)
  if (descriptor.ttl === undefined) return plainHandle(scope, table, descriptor)
  const ttl = new TimeToLive(descriptor.ttl, scope.backend.now)
  const timed = plainHandle(scope, table, timedDescriptor(descriptor, ttl)) as HeapState<unknown>
  return timedHandle(descriptor, ttl, timed, ttl.background ? new ExpiredRows(table, descriptor.kind, ttl) : undefined)
}

function plainHandle(scope: StateScope, table: StateTable<unknown>, descriptor: AnyStateDescriptor): unknown {
  switch (descriptor.kind) {
    case 'value':
      return new HeapValueState(scope, table, descriptor)
    case 'list':
      return new HeapListState(scope, table as StateTable<unknown[]>)
    case 'map':
      return new HeapMapState(scope, table as StateTable<Map<InternalKey, unknown>>)
    case 'reducing': {
      const reduce = descriptor.reduceFunction
      return new HeapAppendingState(scope, table, {
        createAccumulator: () => undefined,
        add: (value, acc) => (acc === undefined ? value : reduce(acc, value)),
        getResult: (acc) => acc,
      })
    }
    case 'aggregating':
      return new HeapAppendingState(scope, table, descriptor.aggregateFunction)
    default:
      throw new MillraceError('STATE_DESCRIPTOR', {
        what: 'this is not a state descriptor',
        todo: 'Use valueState(), listState(), mapState() … or the descriptor classes.',
      })
  }
}

abstract class HeapState<V> {
  #last: StateEntry<V> | null = null

  constructor(
    protected readonly scope: StateScope,
    protected readonly table: StateTable<V>,
  ) {}

  /** The current row; the last one is remembered, since most functions read and then update. */
  protected entry(): StateEntry<V> | null {
    const { backend, namespace } = this.scope
    const last = this.#last
    if (last !== null && last.key === backend.currentKey && last.namespace === namespace && last.place !== REMOVED) return last
    this.#last = this.table.get(backend.currentKey, namespace)
    return this.#last
  }

  protected store(value: V): void {
    const entry = this.entry()
    if (entry === null) {
      this.#last = this.table.insert(this.scope.backend.currentKey, this.scope.namespace, value)
      return
    }
    entry.value = value
    this.table.touch(entry)
  }

  clear(): void {
    const entry = this.entry()
    if (entry !== null) this.table.remove(entry)
    this.#last = null
  }

  /** The current row's value was changed in place. */
  touch(): void {
    const entry = this.entry()
    if (entry !== null) this.table.touch(entry)
  }
}

class HeapValueState<T> extends HeapState<T> implements ValueState<T> {
  constructor(
    scope: StateScope,
    table: StateTable<T>,
    readonly descriptor: ValueStateDescriptor<T>,
  ) {
    super(scope, table)
  }

  value(): T | null {
    const entry = this.entry()
    return entry === null ? (this.descriptor.options.defaultValue ?? null) : entry.value
  }

  update(value: T | null): void {
    if (value === null || value === undefined) this.clear()
    else this.store(value)
  }
}

class HeapListState<T> extends HeapState<T[]> implements ListState<T> {
  get(): Iterable<T> {
    return this.entry()?.value ?? []
  }

  add(value: T): void {
    const entry = this.entry()
    if (entry === null) this.store([value])
    else {
      entry.value.push(value)
      this.table.touchAppended(entry)
    }
  }

  addAll(values: Iterable<T>): void {
    // A copy, since the values may be this very list.
    for (const value of [...values]) this.add(value)
  }

  update(values: Iterable<T>): void {
    const list = [...values]
    if (list.length === 0) this.clear()
    else this.store(list)
  }
}

class HeapMapState<K, V> extends HeapState<Map<InternalKey, V>> implements MapState<K, V> {
  get(key: K): V | undefined {
    return this.entry()?.value.get(toInternalKey(key))
  }

  has(key: K): boolean {
    return this.entry()?.value.has(toInternalKey(key)) ?? false
  }

  put(key: K, value: V): void {
    const entry = this.entry()
    const internalKey = toInternalKey(key)
    if (entry === null) {
      this.store(new Map([[internalKey, value]]))
      return
    }
    entry.value.set(internalKey, value)
    this.table.touchPut(entry, internalKey)
  }

  putAll(entries: Iterable<readonly [K, V]>): void {
    for (const [key, value] of entries) this.put(key, value)
  }

  remove(key: K): void {
    const entry = this.entry()
    const internalKey = toInternalKey(key)
    if (entry === null || !entry.value.delete(internalKey)) return
    if (entry.value.size === 0) this.clear()
    else this.table.touchRemoved(entry, internalKey)
  }

  *entries(): IterableIterator<[K, V]> {
    for (const [key, value] of this.entry()?.value ?? []) yield [fromInternalKey(key) as K, value]
  }

  *keys(): IterableIterator<K> {
    for (const key of this.entry()?.value.keys() ?? []) yield fromInternalKey(key) as K
  }

  *values(): IterableIterator<V> {
    yield* this.entry()?.value.values() ?? []
  }

  isEmpty(): boolean {
    return this.entry() === null
  }
}

class HeapAppendingState<In, Acc, Out> extends HeapState<Acc> implements AppendingStateHandle<In, Out> {
  constructor(
    scope: StateScope,
    table: StateTable<Acc>,
    readonly aggregate: AggregateFunction<In, Acc, Out>,
  ) {
    super(scope, table)
  }

  get(): Out | null {
    const entry = this.entry()
    return entry === null ? null : this.aggregate.getResult(entry.value)
  }

  add(value: In): void {
    const entry = this.entry()
    this.store(this.aggregate.add(value, entry === null ? this.aggregate.createAccumulator() : entry.value))
  }
}

/** Moves the values under `sources` together into `target` (Flink's mergeNamespaces), by the state's own rule of merging. */
export function mergeNamespaces(backend: KeyedStateBackend, descriptor: AnyStateDescriptor, target: Namespace, sources: readonly Namespace[]): void {
  const table = backend.table(descriptor)
  const merge = mergeRule(descriptor)
  let merged: unknown
  let found = false
  for (const source of sources) {
    const entry = table.get(backend.currentKey, source)
    if (entry === null) continue
    merged = found ? merge(merged, entry.value) : entry.value
    found = true
    table.remove(entry)
  }
  if (!found) return
  const entry = table.get(backend.currentKey, target)
  if (entry === null) table.insert(backend.currentKey, target, merged)
  else {
    entry.value = merge(entry.value, merged)
    table.touch(entry)
  }
}

function mergeRule(descriptor: AnyStateDescriptor): (a: unknown, b: unknown) => unknown {
  return descriptor.ttl === undefined || descriptor.kind === 'list' ? untimedMergeRule(descriptor) : mergeTimed(untimedMergeRule(descriptor))
}

function untimedMergeRule(descriptor: AnyStateDescriptor): (a: unknown, b: unknown) => unknown {
  if (descriptor.kind === 'reducing') return descriptor.reduceFunction
  if (descriptor.kind === 'list') return (a, b) => [...(a as unknown[]), ...(b as unknown[])]
  if (descriptor.kind === 'aggregating' && descriptor.aggregateFunction.merge !== undefined) {
    const aggregate = descriptor.aggregateFunction
    return (a, b) => aggregate.merge?.(a, b)
  }
  throw new MillraceError('STATE_DESCRIPTOR', {
    what: `${descriptor.kind} state "${descriptor.name}" cannot be merged`,
    todo: 'State of merging windows must be list state, reducing state, or aggregating state whose function has merge.',
  })
}
