import { type HeldElement, isHeldElement } from '../operators/held-element.js'
import type { SinkBatch } from '../operators/sink-batch.js'

/** What one commit changes of what a sink holds. Plain data. */
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

/** What is not held goes: a sink that ran in one process has left elements without anything in them. */
export function applyHeldChanges(elements: readonly unknown[], { held, append, cut, released }: HeldChanges): readonly HeldElement[] {
  const before = elements.filter(isHeldElement)
  const own = before.some(({ heldBy }) => heldBy === held) || append === null ? before : [...before, { heldBy: held, batches: [] }]
  return own
    .map(({ heldBy, batches }): HeldElement => {
      const all = heldBy === held && append !== null ? [...batches, [null, append] as const] : batches
      const tagged = cut === null ? all : all.map(([tag, batch]) => [tag ?? cut, batch] as const)
      return { heldBy, batches: tagged.filter(([tag]) => tag === null || tag > released) }
    })
    .filter(({ batches }) => batches.length > 0)
}
