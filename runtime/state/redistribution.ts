/**
 * How elements of operator state find subtasks when a checkpoint is restored:
 *
 * - `split`: each element goes to one subtask; it stays with its subtask at the same parallelism, else elements are dealt out in turn
 *   (Flink's ListState).
 * - `union`: every subtask gets the elements of all former subtasks, in the order of those (Flink's UnionListState).
 * - `broadcast`: every former subtask wrote the same; each subtask gets the elements of one of them, its own if there is one.
 */
export type Redistribution = 'split' | 'union' | 'broadcast'

const MARK = 'millrace:redistribute'

/**
 * An element of operator state with its redistribution, as plain data: what `snapshotState` returns. The same comes back in
 * `open(restored)`, to be read with {@link elementOf}. `split` needs no mark.
 */
export function redistributed(mode: Redistribution, element: unknown): unknown {
  return mode === 'split' ? element : { [MARK]: mode, element }
}

export function redistributionOf(stored: unknown): Redistribution {
  const mode = typeof stored === 'object' && stored !== null ? (stored as { readonly [MARK]?: unknown })[MARK] : undefined
  return mode === 'union' || mode === 'broadcast' ? mode : 'split'
}

/** The element without its mark. */
export function elementOf(stored: unknown): unknown {
  return redistributionOf(stored) === 'split' ? stored : (stored as { readonly element: unknown }).element
}
