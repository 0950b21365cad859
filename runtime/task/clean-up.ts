import { manifestName, SAVEPOINT_MANIFEST, SEGMENTS } from '../checkpoint/checkpoint-names.js'
import { decideDeletions, decideDrop, decideDrops } from '../checkpoint/clean-up-decisions.js'
import type { CheckpointStore, Manifest } from '../checkpoint/index.js'
import type { JobRecord } from '../checkpoint/job-record.js'
import { referredBlobs } from '../checkpoint/referred-blobs.js'
import { MillraceError } from '../core/index.js'
import type { JobGraph } from '../plan/index.js'
import { readJob, updateJob } from './job-log.js'
import { allSubtasks } from './job-subtasks.js'
import { ENDED, loadAck, partsOfAck } from './stage-acks.js'
import { acksLogName, type Deployment, endedLogName, subtaskLogName } from './stage-names.js'
import type { StagePorts } from './stage-ports.js'
import { newestBase } from './stage-recovery.js'
import { readUnreferred, writeUnreferred } from './unreferred-log.js'

export interface CleanUpOptions {
  readonly deployment: Pick<Deployment, 'job' | 'revision'>
  readonly graph: JobGraph
  readonly ports: Pick<StagePorts, 'clock' | 'log' | 'parts' | 'checkpoints' | 'nonce' | 'count'>
  /** How many completed checkpoints stay, beside savepoints; 3 by default. */
  readonly keep?: number
  /** Ids of savepoints that may go; none by default. */
  readonly expendable?: readonly number[]
  /**
   * A blob is deleted when it has been seen unreferred for so long, ms. More than an invocation lives, with memory as old as it may find, and than
   * clocks differ by; an hour by default.
   */
  readonly graceMs?: number
  /** At most so many blobs go in one call; 5000 by default. */
  readonly most?: number
}

export type CleanedUp =
  | {
      readonly status: 'cleaned'
      /** Ids of the checkpoints and savepoints that went. */
      readonly dropped: readonly number[]
      /** How many blobs that nothing refers to went, and how many wait for their time. */
      readonly deleted: number
      readonly waiting: number
    }
  | { readonly status: 'not-now'; readonly why: string }

const KEEP = 3
const GRACE_MS = 60 * 60_000
const MOST = 5_000
const AT_A_TIME = 16

/**
 * Deletes what nothing needs of a job's folder of checkpoints: older checkpoints, and segments and large acknowledgements that no log, no
 * acknowledgement and no manifest refers to (docs/decisions/0017). To be called now and then; it may be cut off anywhere, and run several times
 * at once. Throws LOG_CORRUPT, CHECKPOINT_CORRUPT or CHECKPOINT_VERSION of a manifest that cannot be read, and what the ports throw.
 */
export async function cleanUp(options: CleanUpOptions): Promise<CleanedUp> {
  const { deployment, ports, keep = KEEP, expendable = [], graceMs = GRACE_MS, most = MOST } = options
  const { checkpoints, clock, log } = ports
  const stored = await readJob({ log }, deployment.job)
  if (stored === undefined || stored.record.revision !== deployment.revision) return { status: 'not-now', why: 'another revision is active' }
  // What an attempt begins with is on its way into the logs, from a manifest or from another job's folder.
  if (stored.record.phase === 'restoring') return { status: 'not-now', why: 'the job is being restored' }
  const { record } = stored
  const names = [...(await checkpoints.blobs.list(SEGMENTS)), ...(await checkpoints.blobs.list(ENDED))]
  const manifests = await eachOf(await checkpoints.ids(), (id) => readable(checkpoints, id))
  const atRoot = await savepointAtRoot(checkpoints)
  if (manifests.includes(undefined) || atRoot.includes(undefined)) return { status: 'not-now', why: 'a manifest has just gone' }
  const { dropped, savepoints, staying } = decideDrops(manifests as readonly Manifest[], record, keep, expendable)
  if (!(await drop(options, record.attempt, dropped, savepoints))) return { status: 'not-now', why: 'another attempt has begun' }
  const referred = await referredNow(options, record, [...staying, ...(atRoot as readonly Manifest[])])
  const { serial, since } = await readUnreferred(ports, deployment.job)
  const { due, waiting } = decideDeletions(names, referred, since, clock.now(), graceMs)
  const going = due.slice(0, most)
  await eachOf(going, (name) => checkpoints.blobs.delete(name))
  if (going.length > 0) ports.count('blob-deleted', going.length)
  for (const name of due.slice(most)) waiting.set(name, since.get(name) as number)
  await writeUnreferred(ports, deployment.job, serial + 1, waiting)
  return { status: 'cleaned', dropped: [...dropped, ...savepoints], deleted: going.length, waiting: waiting.size }
}

/** What somebody has copied there, whatever its id, stays. */
async function savepointAtRoot(store: CheckpointStore): Promise<readonly (Manifest | undefined)[]> {
  return (await store.blobs.get(SAVEPOINT_MANIFEST)) === undefined ? [] : [await readable(store, 'savepoint')]
}

/** Undefined for one that is not there any more. Of one that cannot be read nobody knows what it refers to: somebody has to look after it. */
async function readable(store: CheckpointStore, which: number | 'savepoint'): Promise<Manifest | undefined> {
  try {
    return await store.load(which)
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'CHECKPOINT_NOT_FOUND') return undefined
    throw error
  }
}

/** The job record says so first: from then on nothing begins with them. False when an attempt has begun meanwhile. */
async function drop(
  { deployment, ports }: CleanUpOptions,
  attempt: number,
  checkpoints: readonly number[],
  savepoints: readonly number[],
): Promise<boolean> {
  const ids = [...checkpoints, ...savepoints]
  if (ids.length === 0) return true
  const upTo = checkpoints.at(-1) ?? 0
  const updated = await updateJob(ports, deployment.job, (record) => decideDrop(record, upTo, attempt, savepoints))
  if (updated.kind === 'refused') return false
  await eachOf(ids, (id) => ports.checkpoints.blobs.delete(manifestName(id)))
  ports.count('checkpoint-dropped', ids.length)
  return true
}

/**
 * Everything that the attempt refers to. What one refers to goes on to the next in this order: a log's base, an acknowledgement, a manifest.
 * So what moves on while they are read is seen once at least.
 */
async function referredNow({ graph, ports }: CleanUpOptions, record: JobRecord, manifests: readonly Manifest[]): Promise<ReadonlySet<string>> {
  const { log, parts, checkpoints } = ports
  const names = new Set<string>()
  const refer = (some: readonly string[]): void => {
    for (const name of some) names.add(name)
  }
  await eachOf(allSubtasks(graph, record), async ({ stage, subtask }) => {
    const name = subtaskLogName(record, stage, subtask)
    const base = await newestBase({ log, parts }, name)
    if (base !== undefined) refer(referredBlobs.ofBase(base))
  })
  const { attempt, pending } = record
  const said = [{ name: endedLogName(record, attempt), blobs: checkpoints.blobs }]
  if (pending !== null) said.push({ name: acksLogName(record, attempt, pending.id), blobs: parts })
  for (const { name, blobs } of said) {
    await eachOf((await log.read(name, 0)).items, async (item) => {
      for (const part of partsOfAck(item)) if (!(part instanceof Uint8Array)) names.add(part.name)
      refer(referredBlobs.ofAck(await loadAck({ blobs, log: name }, item)))
    })
  }
  for (const manifest of manifests) refer(referredBlobs.ofManifest(manifest))
  return names
}

async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let i = 0; i < items.length; i += AT_A_TIME) results.push(...(await Promise.all(items.slice(i, i + AT_A_TIME).map(work))))
  return results
}
