import type { SinkMarker } from '../core/index.js'
import { joinedBatches, type SinkBatch } from './sink-batch.js'

/**
 * What one writer holds for a sink until a checkpoint has completed, oldest first; of a batch with no number the checkpoint has not begun. An
 * element of operator state of a sink that runs in stages.
 */
export interface HeldElement {
  readonly heldBy: string
  readonly batches: readonly (readonly [checkpointId: number | null, batch: SinkBatch])[]
}

/** What a checkpoint that has completed lets go. Wherever and however often it is written, it has this marker. */
export interface ReleasedBatch {
  readonly marker: SinkMarker
  readonly batch: SinkBatch
}

export function isHeldElement(element: unknown): element is HeldElement {
  return typeof element === 'object' && element !== null && typeof (element as Partial<HeldElement>).heldBy === 'string'
}

/** By writer and checkpoint, everything in one batch. */
export function releasedBatches(elements: readonly HeldElement[], completed: number): readonly ReleasedBatch[] {
  const released: { readonly marker: SinkMarker; batch: SinkBatch }[] = []
  for (const { heldBy, batches } of elements) {
    for (const [tag, batch] of batches) {
      if (tag === null || tag > completed) continue
      const last = released.at(-1)
      if (last?.marker.writer === heldBy && last.marker.version === tag) last.batch = joinedBatches(last.batch, batch)
      else released.push({ marker: { writer: heldBy, attempt: 0, version: tag }, batch })
    }
  }
  return released
}
