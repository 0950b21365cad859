import type { PendingStageCheckpoint } from '../runtime/checkpoint/job-record.js'
import { MillraceError } from '../runtime/core/index.js'
import { type CompletedAnswer, completed } from './control-status.js'
import type { DeployedControl } from './deployed-control.js'

/** What can be restored, newest last. Segments are not read: `millrace checkpoints s3://…` verifies them. */
export interface CheckpointsAnswer {
  /** `s3://bucket/checkpoints/job`. */
  readonly root: string
  readonly checkpoints: readonly ListedCheckpoint[]
}

export interface ListedCheckpoint extends CompletedAnswer {
  /** Why its manifest cannot be used; null when it can. */
  readonly damaged: string | null
  readonly segments: number
}

/** Where the job's data stand, for tools that read it with credentials of their own. */
export interface PlacesAnswer {
  readonly job: string
  readonly bucket: string
  /** `s3://bucket/checkpoints/job`. */
  readonly checkpoints: string
  /** Prefix of dead letters in the bucket. */
  readonly deadLetters: string
  /** Physical names of the streams that sources read, by stage. */
  readonly sourceStreams: Readonly<Record<string, string>>
}

/** `busy`: another checkpoint is in progress; to be asked again when that has left. */
export type BegunAnswer = { readonly status: 'begun' | 'busy'; readonly checkpointId: number }

export async function listCheckpoints({ ports: { checkpoints } }: DeployedControl): Promise<CheckpointsAnswer> {
  const ids = await checkpoints.ids()
  return { root: checkpoints.root, checkpoints: await Promise.all(ids.map((id) => listed(checkpoints, id))) }
}

async function listed(store: DeployedControl['ports']['checkpoints'], id: number): Promise<ListedCheckpoint> {
  try {
    const manifest = await store.load(id)
    const segments = new Set(manifest.operators.flatMap(({ subtasks }) => subtasks.flatMap(({ keyed }) => keyed.map(({ name }) => name))))
    return { ...completed(manifest, store.root), damaged: null, segments: segments.size }
  } catch (error) {
    if (!(error instanceof MillraceError && error.code.startsWith('CHECKPOINT_'))) throw error
    return { id, kind: 'checkpoint', path: `${store.root}/chk-${id}`, createdAtMs: 0, bytes: 0, damaged: error.detail.what, segments: 0 }
  }
}

/** Throws CONTROL_REFUSED. */
export async function begin({ control, environment: { job } }: DeployedControl, kind: PendingStageCheckpoint['kind']): Promise<BegunAnswer> {
  const begun = await control.begin(kind)
  // Nothing has changed: the last one is as good as another.
  if (begun.status !== 'refused') return { status: 'begun', checkpointId: begun.checkpointId }
  // Of the same kind: this request's own, when its answer was lost, or as good as that.
  const pending = (await control.record())?.pending
  if (begun.pending !== undefined && pending?.id === begun.pending && pending.kind === kind) return { status: 'begun', checkpointId: pending.id }
  if (begun.pending !== undefined) return { status: 'busy', checkpointId: begun.pending }
  throw new MillraceError('CONTROL_REFUSED', {
    what: `a ${kind} of job "${job}" cannot begin: ${begun.why}`,
    where: `job "${job}"`,
    todo: 'Look at its status, and ask again.',
  })
}

/** Throws CONTROL_REFUSED when it is not pending, or about to be complete. */
export async function abort({ control, environment: { job } }: DeployedControl, checkpointId: number): Promise<{ readonly status: 'aborted' }> {
  const aborted = await control.abort(checkpointId, 'somebody has asked for it')
  if (aborted.status === 'aborted') return aborted
  throw new MillraceError('CONTROL_REFUSED', { what: `checkpoint ${checkpointId} of job "${job}" cannot be given up: ${aborted.why}` })
}
