import { assert } from '../core/index.js'
import { elementOf, redistributed, redistributionOf } from './redistribution.js'
import { type FoldedData, foldedData } from './row-change.js'
import { pack, unpack } from './structural.js'

/** A named state among an operator's: all its elements as they are now, or what changed in the entries of its one map (see `changeToData`). */
export type NamedStateChange =
  | { readonly state: string; readonly elements: readonly unknown[] }
  | { readonly state: string; readonly entries: unknown }

/** What changed in an operator's state, as plain data: all its elements as they are now, or changes of some of its named states. */
export type OperatorStateChanges = { readonly all: readonly unknown[] } | { readonly named: readonly NamedStateChange[] }

/** How a named state is called in changes: `operatorState` ones are a function's, `broadcastState` ones those of a broadcast stream. */
export function stateKey(sort: 'operatorState' | 'broadcastState', name: string): string {
  return `${sort}:${name}`
}

/** What the elements of an operator's state are after the changes, given in order, that `StreamOperator.takeStateChanges` told of. */
export function foldOperatorStateChanges(elements: readonly unknown[], changes: Iterable<unknown>): readonly unknown[] {
  const folded = new FoldedState(elements)
  for (const change of changes) folded.apply(change as OperatorStateChanges | undefined)
  return folded.elements()
}

/** The same for one call's changes; undefined changes nothing. */
export function applyOperatorStateChanges(elements: readonly unknown[], changes: unknown): readonly unknown[] {
  return foldOperatorStateChanges(elements, [changes])
}

/** Tells changes of an operator whose state is a short list without names: all of it, when it differs from the last time. */
export class WholeState {
  #last: Uint8Array | undefined

  /** `restored` is what the first list is compared with; without it the first one counts as changed. */
  changes(elements: readonly unknown[], restored: readonly unknown[] | undefined): OperatorStateChanges | undefined {
    const before = this.#last ?? (restored && pack(restored))
    this.#last = pack(elements)
    return before !== undefined && sameBytes(before, this.#last) ? undefined : { all: elements }
  }
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

interface StoredMap {
  readonly operatorState?: string
  readonly broadcastState?: string
  readonly serde: string
  /** Of broadcast streams' states packed. */
  readonly data: unknown
}

/** Elements by the state that they are of, those of none under ''. */
class FoldedState {
  readonly #states = new Map<string, unknown[]>()
  readonly #maps = new Map<string, FoldedData>()

  constructor(elements: readonly unknown[]) {
    this.#add(elements)
  }

  #add(elements: readonly unknown[]): void {
    for (const element of elements) {
      const state = stateOf(element)
      const known = this.#states.get(state)
      if (known === undefined) this.#states.set(state, [element])
      else known.push(element)
    }
  }

  apply(changes: OperatorStateChanges | undefined): void {
    if (changes === undefined) return
    if ('all' in changes) {
      this.#states.clear()
      this.#maps.clear()
      this.#add(changes.all)
      return
    }
    for (const change of changes.named) {
      if ('elements' in change) {
        this.#maps.delete(change.state)
        this.#states.set(change.state, [...change.elements])
      } else this.#map(change.state).apply(change.entries)
    }
  }

  #map(state: string): FoldedData {
    let map = this.#maps.get(state)
    if (map === undefined) {
      const elements = this.#states.get(state) ?? []
      assert(elements.length === 1, 'entries change in a state that is one map')
      const { serde, data, broadcastState } = elementOf(elements[0]) as StoredMap
      map = foldedData({ name: state, kind: 'map', serde }, broadcastState === undefined ? data : unpack(data as Uint8Array))
      this.#maps.set(state, map)
    }
    return map
  }

  elements(): readonly unknown[] {
    return [...this.#states].flatMap(([state, elements]) => {
      const map = this.#maps.get(state)
      return map === undefined ? elements : [withData(elements[0], map.data())]
    })
  }
}

function withData(stored: unknown, data: unknown): unknown {
  const element = elementOf(stored) as StoredMap
  return redistributed(redistributionOf(stored), { ...element, data: element.broadcastState === undefined ? data : pack(data) })
}

function stateOf(stored: unknown): string {
  const element = elementOf(stored)
  if (typeof element !== 'object' || element === null) return ''
  const { operatorState, broadcastState } = element as Partial<StoredMap>
  if (typeof operatorState === 'string') return stateKey('operatorState', operatorState)
  return typeof broadcastState === 'string' && redistributionOf(stored) === 'broadcast' ? stateKey('broadcastState', broadcastState) : ''
}
