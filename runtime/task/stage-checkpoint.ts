import { type CheckpointStore, MANIFEST_FORMAT, type Manifest, type OperatorState } from '../checkpoint/index.js'
import { MillraceError } from '../core/index.js'
import type { JobGraph } from '../plan/index.js'
import type { Clock } from '../ports/index.js'
import { pack, unpack } from '../state/index.js'
import type { StageAck } from './outbox.js'
import { acksLogName, checkpointsLogName, type Deployment, subtaskCount } from './stage-names.js'
import type { SubtaskLog } from './stage-ports.js'

export interface StageCheckpointOptions {
  readonly deployment: Deployment
  readonly graph: JobGraph
  readonly attempt: number
  readonly log: SubtaskLog
  readonly checkpoints: CheckpointStore
  readonly clock: Clock
}

export type CheckpointProgress =
  | { readonly status: 'completed'; readonly checkpointId: number; readonly path: string }
  | { readonly status: 'pending'; readonly checkpointId: number; readonly acknowledged: number; readonly needed: number }

/**
 * The steps of a checkpoint over stages; what lies between them (barriers to the sources, waiting) is a state machine's. Every step may be
 * repeated. A checkpoint that never completes leaves only segments behind.
 */
export class StageCheckpoints {
  constructor(readonly options: StageCheckpointOptions) {}

  /** The id of a new checkpoint. */
  async begin(): Promise<number> {
    const { deployment, log, clock } = this.options
    const name = checkpointsLogName(deployment)
    for (;;) {
      const checkpointId = ((await log.head(name))?.version ?? 0) + 1
      const item = { version: checkpointId, payload: pack({ format: 1, begunAtMs: clock.now() }) }
      if ((await log.append(name, item)) === 'won') return checkpointId
    }
  }

  /** Completes the checkpoint, with its manifest, once every subtask has acknowledged it. */
  async poll(checkpointId: number): Promise<CheckpointProgress> {
    const { deployment, graph, log, checkpoints } = this.options
    const items = await log.read(acksLogName(deployment, checkpointId), 0)
    const needed = subtaskCount(graph)
    if (items.length < needed) return { status: 'pending', checkpointId, acknowledged: items.length, needed }
    const manifest = this.#manifest(
      checkpointId,
      items.map(({ payload }) => unpack(payload) as StageAck),
    )
    try {
      const { path } = await checkpoints.complete(manifest)
      return { status: 'completed', checkpointId, path }
    } catch (error) {
      // It is there when this step has been taken before and its answer was lost.
      if (!(error instanceof MillraceError) || error.code !== 'CHECKPOINT_FAILED') throw error
      await checkpoints.load(checkpointId)
      return { status: 'completed', checkpointId, path: `${checkpoints.root}/chk-${checkpointId}` }
    }
  }

  #manifest(checkpointId: number, acks: readonly StageAck[]): Manifest {
    const { graph, attempt, clock } = this.options
    const states = acks.flatMap(({ operators }) => operators)
    const operators = graph.vertices.flatMap(({ operators, parallelism, maxParallelism }) =>
      operators.map(({ uid, name }): OperatorState => {
        const subtasks = states.filter((state) => state.uid === uid).map(({ subtask, keyed, operatorState }) => ({ subtask, keyed, operatorState }))
        return { uid, name, parallelism, maxParallelism, subtasks: subtasks.sort((a, b) => a.subtask - b.subtask) }
      }),
    )
    return { format: MANIFEST_FORMAT, job: graph.job, checkpointId, kind: 'checkpoint', createdAtMs: clock.now(), attempt, operators }
  }
}
