import { MillraceError } from '../runtime/core/index.js'

/** The control item of a log of the job's table is not what was written: LOG_CORRUPT. `what`: whose it is, and what is wrong with it. */
export function unreadableItem(log: string, what: string): MillraceError {
  return new MillraceError('LOG_CORRUPT', {
    what,
    where: `log ${log}`,
    todo:
      "Nothing but this job may write to its table. Bring the item back from the table's point-in-time recovery; or deploy the job by a construct with another id, which " +
      'has a table of its own, and move the last checkpoint there (docs/operations.md, From AWS to one process and back).',
  })
}
