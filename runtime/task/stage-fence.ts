import type { LiveStage } from './live-stage.js'
import { endedSplit, onHold, otherAttempt, retired } from './stage-errors.js'
import type { Memory } from './stage-memory.js'
import type { StageEvent } from './stage-ports.js'
import type { Work } from './stage-subtask.js'

export interface FencePlace {
  readonly log: string
  count(event: StageEvent): void
}

/** False: nothing may be done, and nothing is to be. Throws BATCH_REFUSED for a batch that must not be acknowledged. */
export function admits({ head, live, control }: Memory, work: Work, { log, count }: FencePlace): boolean {
  const source = live.source !== undefined
  if (head.life === 'retired') {
    count('retired-poked')
    if (source && work.kind !== 'poke') throw retired(log)
    return false
  }
  if (source && work.kind !== 'poke' && work.attempt !== undefined && work.attempt !== head.attempt) {
    count('batch-of-other-attempt')
    throw otherAttempt(log, head.attempt, work.attempt)
  }
  if (head.life === 'stopped' && control.aborted < head.epoch && bringsNew(live, work)) {
    count('batch-held')
    throw onHold(log)
  }
  if (head.life === 'ended' && source && work.kind === 'batch' && bringsNew(live, work)) throw endedSplit(log)
  return true
}

function bringsNew({ position }: LiveStage, work: Work): boolean {
  if (work.kind !== 'batch') return work.kind === 'end'
  return position === undefined || work.records.some((record) => record.position > position)
}

/** A source's split that a restore had taken out of the job appears again. */
export function mayStartAnew({ head, live }: Memory, work: Work): boolean {
  return head.life === 'retired' && live.source !== undefined && work.kind !== 'poke' && (work.attempt ?? 0) >= head.attempt
}
