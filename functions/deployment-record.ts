import type { ManifestRef } from '../runtime/checkpoint/job-record.js'
import type { MillraceError } from '../runtime/core/index.js'
import type { CommitLog } from '../runtime/ports/index.js'
import { packChecked, unpackChecked } from '../runtime/state/index.js'
import { unreadableItem } from './unreadable-item.js'

/** How a source's batches come: what `Activation` says of it. */
export interface DeployedSource {
  /** ARN of the stage's function, without version or alias. */
  readonly functionArn: string
  /** Of the function, that which runs the revision's code. */
  readonly version: string
  /** The stream's, or with enhanced fan-out that of its consumer. */
  readonly eventSourceArn: string
  /** Logical name of the stream. */
  readonly stream: string
  readonly batchSize: number
  readonly batchingWindowSeconds: number
  /** Where the job's first activation begins to read: with all there is, or with what comes from that moment on. */
  readonly start: 'TRIM_HORIZON' | 'LATEST'
}

/**
 * How a job goes on as another revision: with a savepoint behind which the former one has stopped, or with the last state that it has saved by itself (its last checkpoint), without
 * asking it for anything.
 */
export type UpgradeMode = 'savepoint' | 'last-state'

/** One revision of the job as it was deployed. */
export interface DeployedRevision {
  readonly revision: string
  /** ARN of that version of the control function which runs its code. */
  readonly control: string
  /** By stage. */
  readonly sources: Readonly<Record<string, DeployedSource>>
  readonly settings?: DeployedSettings
}

/** What of a deployment has a price, or is to be known whatever revision runs. */
export interface DeployedSettings {
  /** By stage. */
  readonly memoryMb: Readonly<Record<string, number>>
  readonly batchingWindowSeconds: Readonly<Record<string, number>>
  readonly controlMemoryMb: number
  readonly frameRetentionHours: number
  readonly checkpointMinutes: number
  /** Stages whose stream has a consumer of its own. */
  readonly fanOut: readonly string[]
  /** As they are priced: metrics that alarms watch. */
  readonly alarms: number
  readonly dashboards: number
  /** So many of the savepoints stay that deployments have made. */
  readonly retainedSavepoints: number
}

/**
 * The way of the job from one attempt to the next.
 *
 * - `stopping`: `from` comes to its stop with a savepoint.
 * - `resuming`: the stop of `to` is taken back, because a deployment was.
 * - `restoring`: an attempt of `to` begins with `begin`.
 * - `reading`: the sources' mappings are let to the attempt. From here on records may have been acknowledged for it.
 */
export interface Transition {
  readonly from: DeployedRevision | null
  readonly to: DeployedRevision
  readonly phase: 'stopping' | 'resuming' | 'restoring' | 'reading'
  /** When the phase began, or a deployment asked for it again. */
  readonly phaseAtMs: number
  /**
   * What the new attempt begins with; null before it is known, and for nothing. `last-state`, up to `reading`: what the attempt that is superseded
   * would go on from, see {@link UpgradeMode}.
   */
  readonly begin: ManifestRef | null | 'last-state'
  /** The attempt that is superseded (0: none), known from `restoring` on. */
  readonly expected: number
  /** The new attempt, known from `reading` on. */
  readonly attempt: number
  /** The sources go back, so their mappings are replaced; else they are repointed and keep their positions. */
  readonly replace: boolean
  /** A deployment is being taken back: this one does not fail. */
  readonly back: boolean
  /** What `to` begins with when `from` cannot be stopped; for a deployment that may be one that is being taken back. */
  readonly otherwise: ManifestRef | null
  /** The stop that was begun for it: a savepoint that nobody else asked for. */
  readonly stop?: number
  /** Stateful operators whose state may be left behind. */
  readonly allowStateLoss: readonly string[]
  /** Names the request that it answers. */
  readonly request: string
}

/** What is known of a job's deployments: one item beside the job record, replaced as a whole. Plain data. */
export interface DeploymentRecord {
  readonly format: 1
  /** The revision that runs; null: none was brought to its end yet, or the stack was removed. */
  readonly active: DeployedRevision | null
  readonly transition: Transition | null
  /** The transition that came to its end last, and when. */
  readonly last: { readonly transition: Transition; readonly endedAtMs: number } | null
  /** Who works on the transition, and until when that may be. */
  readonly lease: { readonly holder: string; readonly untilMs: number } | null
  /** Savepoints that deployments have made to stop what ran, the newest last; those that somebody asked for are not among them. */
  readonly savepoints: readonly number[]
  /** Epoch ms of the first activation: sources that begin at LATEST have nothing older than this. */
  readonly sinceMs: number
}

export interface StoredDeployment {
  readonly record: DeploymentRecord
  readonly serial: number
}

/** The record of a job that was never deployed. */
export function noDeployment(now: number): DeploymentRecord {
  return { format: 1, active: null, transition: null, last: null, lease: null, savepoints: [], sinceMs: now }
}

/** Its control item is the deployment record. `#` keeps it apart from revisions. */
export function deploymentLogName(job: string): string {
  return `${job}/#deployment`
}

/** Serial 0: there is none yet. Throws LOG_CORRUPT. */
export async function readDeployment(log: CommitLog, job: string, now: number): Promise<StoredDeployment> {
  const name = deploymentLogName(job)
  const { control } = await log.head(name)
  if (control === undefined) return { record: noDeployment(now), serial: 0 }
  const unpacked = unpackChecked(control.payload)
  if ('fault' in unpacked) throw corrupt(name, unpacked.fault)
  const record = unpacked.value as Partial<DeploymentRecord>
  if (record.format === 1) return { record: record as DeploymentRecord, serial: control.serial }
  throw corrupt(name, `it is of format ${String(record.format)}, this version reads format 1`)
}

/** In the place of the one with the serial before; `undefined` when another was put there first. */
export async function replaceDeployment(
  log: CommitLog,
  job: string,
  record: DeploymentRecord,
  before: number,
): Promise<StoredDeployment | undefined> {
  const serial = before + 1
  const outcome = await log.putControl(deploymentLogName(job), { serial, payload: packChecked(record) })
  return outcome === 'won' ? { record, serial } : undefined
}

function corrupt(log: string, why: string): MillraceError {
  return unreadableItem(log, `the record of deployments cannot be read: ${why}`)
}
