import type { RowBlock } from './segment.js'

/** Rows of a state, to be put together one by one. */
export function emptyBlock(state: number): RowBlock {
  return { state, removedKeys: [], removedNamespaces: [], keys: [], namespaces: [], values: [] }
}

export function addRow(block: RowBlock, key: unknown, namespace: unknown, value: unknown): void {
  block.keys.push(key)
  block.namespaces.push(namespace)
  block.values.push(value)
}

export function addRemoved(block: RowBlock, key: unknown, namespace: unknown): void {
  block.removedKeys.push(key)
  block.removedNamespaces.push(namespace)
}

export function addChange(block: RowBlock, key: unknown, namespace: unknown, change: unknown): void {
  block.changed ??= { keys: [], namespaces: [], changes: [] }
  block.changed.keys.push(key)
  block.changed.namespaces.push(namespace)
  block.changed.changes.push(change)
}
