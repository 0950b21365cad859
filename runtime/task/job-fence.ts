import type { LogItem } from '../ports/index.js'
import { unpackChecked } from '../state/index.js'
import { type CommitRecord, corruptLog, decodeCommit } from './commit-record.js'

/** What an activation must know of the newest commit of a log that it fences. */
export interface FencedHead {
  readonly attempt: number
  /** Undefined for a commit of another format: of an engine that was deployed before, or after. */
  readonly record: CommitRecord | undefined
}

/**
 * The newest commit of a log that is to be reset or retired. Who fences a log needs to know no more than the attempt, which stands at one place in all formats: an array
 * that begins with format, plan and attempt. So a job can be upgraded to, and taken back from, an engine whose commits it cannot read. Throws LOG_CORRUPT for
 * what is no commit at all.
 */
export function fencedHead(log: string, item: LogItem): FencedHead {
  const unpacked = unpackChecked(item.payload)
  if ('fault' in unpacked) throw corruptLog(log, item.version, unpacked.fault)
  const [format, , attempt] = Array.isArray(unpacked.value) ? (unpacked.value as readonly unknown[]) : []
  if (typeof format === 'number' && format !== 3 && typeof attempt === 'number') return { attempt, record: undefined }
  const record = decodeCommit(log, item)
  return { attempt: record.attempt, record }
}
