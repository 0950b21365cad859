import type { Decision, Refusal } from '../checkpoint/job-decisions.js'
import { decodeJobRecord, encodeJobRecord, type JobRecord } from '../checkpoint/job-record.js'
import type { CommitLog } from '../ports/index.js'
import { jobLogName } from './stage-names.js'
import type { StagePorts } from './stage-ports.js'

/** The job record as it was read or written. */
export interface StoredJob {
  readonly record: JobRecord
  readonly serial: number
}

export type Updated = { readonly kind: 'put' | 'keep'; readonly stored: StoredJob } | (Refusal & { readonly stored: StoredJob | undefined })

/** Undefined for a job that was never activated. Throws LOG_CORRUPT. */
export async function readJob(ports: { readonly log: CommitLog }, job: string): Promise<StoredJob | undefined> {
  const log = jobLogName(job)
  const { control } = await ports.log.head(log)
  return control && { record: decodeJobRecord(log, control), serial: control.serial }
}

/** Puts the record in the place of that with the serial before; `undefined` when another was put there first. */
export async function replaceJob(ports: Pick<StagePorts, 'log' | 'count'>, record: JobRecord, before: number): Promise<StoredJob | undefined> {
  const serial = before + 1
  if ((await ports.log.putControl(jobLogName(record.job), { serial, payload: encodeJobRecord(record) })) === 'won') return { record, serial }
  ports.count('record-lost')
  return undefined
}

/** Reads, decides, replaces, until a decision has been made on the newest record. Refused for a job that was never activated. */
export async function updateJob(ports: Pick<StagePorts, 'log' | 'count'>, job: string, decide: (record: JobRecord) => Decision): Promise<Updated> {
  for (;;) {
    const stored = await readJob(ports, job)
    if (stored === undefined) return { kind: 'refused', why: 'the job has not been activated', stored }
    const decision = decide(stored.record)
    if (decision.kind !== 'put') return { ...decision, stored }
    const replaced = await replaceJob(ports, decision.record, stored.serial)
    if (replaced !== undefined) return { kind: 'put', stored: replaced }
  }
}
