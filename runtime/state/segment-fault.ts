import { MillraceError } from '../core/index.js'

export function damagedSegment(name: string, why: string): MillraceError {
  return new MillraceError('CHECKPOINT_CORRUPT', {
    what: `a state segment is damaged: ${why}`,
    where: name,
    todo: 'Restore an older checkpoint (millrace checkpoints DIR lists them); this one cannot be used.',
  })
}
