import type { SinkBatch } from './outbox-sink-operator.js'

/** What one writer holds, oldest first; of a batch with no number the checkpoint has not begun. An element of operator state. */
export interface HeldElement {
  readonly heldBy: string
  readonly batches: readonly (readonly [checkpointId: number | null, batch: SinkBatch])[]
}

/** What one commit changes of it. Plain data. */
export interface HeldChanges {
  /** The writer of `append`. */
  readonly held: string
  readonly append: SinkBatch | null
  /** Batches without a number get this one. */
  readonly cut: number | null
  /** Batches up to this checkpoint have gone to the sink. */
  readonly released: number
}

export function isHeldChanges(changes: unknown): changes is HeldChanges {
  return typeof changes === 'object' && changes !== null && typeof (changes as Partial<HeldChanges>).held === 'string'
}

export function applyHeldChanges(elements: readonly HeldElement[], { held, append, cut, released }: HeldChanges): readonly HeldElement[] {
  const own = elements.some(({ heldBy }) => heldBy === held) || append === null ? elements : [...elements, { heldBy: held, batches: [] }]
  return own
    .map(({ heldBy, batches }): HeldElement => {
      const all = heldBy === held && append !== null ? [...batches, [null, append] as const] : batches
      const tagged = cut === null ? all : all.map(([tag, batch]) => [tag ?? cut, batch] as const)
      return { heldBy, batches: tagged.filter(([tag]) => tag === null || tag > released) }
    })
    .filter(({ batches }) => batches.length > 0)
}
