import {
  type AnyStateDescriptor,
  type ListState,
  type ListStateDescriptor,
  type MapState,
  type MapStateDescriptor,
  MillraceError,
  type OperatorStateStore,
} from '../core/index.js'
import { HeapBroadcastState } from './broadcast-state.js'
import { type NamedStateChange, sameBytes, stateKey } from './operator-state-changes.js'
import { elementOf, type Redistribution, redistributed, redistributionOf } from './redistribution.js'
import { codecOf, readerOf, type StateCodec } from './state-codec.js'
import { pack, unpack } from './structural.js'

/** One element of operator state as it is stored: of a list one of its elements, of a map the whole map. */
interface StoredElement {
  readonly operatorState: string
  readonly serde: string
  readonly data: unknown
}

interface Registered {
  readonly mode: Redistribution
  readonly codec: StateCodec<unknown>
  readonly content: ListContent | HeapBroadcastState
}

/** A list, which every handle of it shares. */
class ListContent {
  /** Whether a handle changed it since the last `takeChanges`. */
  touched: boolean
  /** Its elements, packed, when they were last told as a change: functions set their lists at every snapshot. */
  told: Uint8Array | undefined

  constructor(
    readonly list: unknown[],
    touched: boolean,
  ) {
    this.touched = touched
  }
}

/** Whether an element of operator state is one of {@link OperatorStateBackend.snapshot}. */
export function isFunctionState(stored: unknown): boolean {
  const element = elementOf(stored)
  return typeof element === 'object' && element !== null && typeof (element as Partial<StoredElement>).operatorState === 'string'
}

/** Operator state of one function of one subtask, in memory; a snapshot is a list of elements with their redistribution. */
export class OperatorStateBackend implements OperatorStateStore {
  readonly #registered = new Map<string, Registered>()
  /** Elements of states that nobody has asked for, by name: kept as they were restored. */
  readonly #unclaimed = new Map<string, unknown[]>()

  constructor(restored: readonly unknown[]) {
    for (const stored of restored) {
      const { operatorState } = elementOf(stored) as StoredElement
      const elements = this.#unclaimed.get(operatorState)
      if (elements === undefined) this.#unclaimed.set(operatorState, [stored])
      else elements.push(stored)
    }
  }

  getListState<T>(descriptor: ListStateDescriptor<T>): ListState<T> {
    return this.#list(descriptor, 'split')
  }
  getUnionListState<T>(descriptor: ListStateDescriptor<T>): ListState<T> {
    return this.#list(descriptor, 'union')
  }
  getBroadcastListState<T>(descriptor: ListStateDescriptor<T>): ListState<T> {
    return this.#list(descriptor, 'broadcast')
  }
  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V> {
    return this.#register(descriptor, 'broadcast').content as unknown as MapState<K, V>
  }

  #list<T>(descriptor: ListStateDescriptor<T>, mode: Redistribution): ListState<T> {
    return new OperatorListState<T>(this.#register(descriptor, mode).content as ListContent)
  }

  #register(descriptor: AnyStateDescriptor, mode: Redistribution): Registered {
    const { name, kind } = descriptor
    if (name === '') throw new MillraceError('STATE_DESCRIPTOR', { what: 'a state descriptor has no name', todo: 'Give it one.' })
    const known = this.#registered.get(name)
    if (known !== undefined) {
      if (known.mode !== mode || known.codec.kind !== kind) throw usedInTwoWays(name)
      return known
    }
    const codec = codecOf(descriptor)
    const restored = this.#unclaimed.get(name) ?? []
    if (restored.some((stored) => redistributionOf(stored) !== mode)) throw usedInTwoWays(name)
    this.#unclaimed.delete(name)
    const elements = restored.map((stored) => elementOf(stored) as StoredElement)
    const content = kind === 'map' ? mapOf(codec, elements, name) : listOf(codec, elements, name)
    // A function that sets the same list at every snapshot changes nothing.
    if (content instanceof ListContent) content.told = pack(restored)
    const registered = { mode, codec, content }
    this.#registered.set(name, registered)
    return registered
  }

  /** Throws STATE_UNSERIALISABLE. */
  snapshot(): unknown[] {
    return [...[...this.#unclaimed.values()].flat(), ...[...this.#registered].flatMap(([name, registered]) => elementsOf(name, registered))]
  }

  /** What changed since the last call, or since the state was restored. Throws STATE_UNSERIALISABLE. */
  takeChanges(): NamedStateChange[] {
    return [...this.#registered].flatMap(([name, registered]) => {
      const { content } = registered
      const elements = () => elementsOf(name, registered)
      const change = content instanceof ListContent ? listChange(content, elements) : content.takeChange(() => elements()[0])
      return change === undefined ? [] : [{ state: stateKey('operatorState', name), ...change }]
    })
  }
}

/** The elements of one state; copies, since what is in the state may change while the checkpoint is being written. */
function elementsOf(operatorState: string, { mode, codec, content }: Registered): unknown[] {
  // A list's codec is for whole lists: each element as a list of one.
  const values = content instanceof ListContent ? content.list.map((value) => [value]) : [content.entriesByKey]
  return values.map((value) =>
    redistributed(mode, unpack(pack({ operatorState, serde: codec.serdeId, data: codec.toData(value) } satisfies StoredElement))),
  )
}

function listChange(content: ListContent, elementsNow: () => unknown[]): { readonly elements: readonly unknown[] } | undefined {
  if (!content.touched) return undefined
  const elements = elementsNow()
  const told = pack(elements)
  const same = content.told !== undefined && sameBytes(content.told, told)
  content.touched = false
  content.told = told
  return same ? undefined : { elements }
}

function listOf(codec: StateCodec<unknown>, restored: readonly StoredElement[], name: string): ListContent {
  const list = restored.flatMap(({ serde, data }) => readerOf(codec, serde, name)(data) as unknown[])
  return new ListContent(
    list,
    restored.some(({ serde }) => serde !== codec.serdeId),
  )
}

/** Each subtask gets one of the maps that were written, which are alike. */
function mapOf(codec: StateCodec<unknown>, restored: readonly StoredElement[], name: string): HeapBroadcastState {
  const map = new HeapBroadcastState(codec)
  if (restored.length > 0) map.fill(readerOf(codec, restored[0].serde, name)(restored[0].data), restored[0].serde)
  if (restored.length > 1) map.changedWhole()
  return map
}

function usedInTwoWays(name: string): MillraceError {
  return new MillraceError('STATE_DESCRIPTOR', {
    what: `operator state "${name}" is used in two ways`,
    todo: 'A name stands for one kind of state, with one way of redistribution; one that changes needs a new name.',
  })
}

class OperatorListState<T> implements ListState<T> {
  constructor(readonly content: ListContent) {}

  get(): Iterable<T> {
    return (this.content.list as T[]).values()
  }
  add(value: T): void {
    this.content.list.push(value)
    this.content.touched = true
  }
  addAll(values: Iterable<T>): void {
    for (const value of [...values]) this.add(value)
  }
  update(values: Iterable<T>): void {
    const list = [...values]
    this.clear()
    this.addAll(list)
  }
  clear(): void {
    this.content.list.length = 0
    this.content.touched = true
  }
}
