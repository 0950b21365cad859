import type { JobGraph, VertexPlan } from '../plan/index.js'
import { MANIFEST_FORMAT, type Manifest, type OperatorState, type OperatorSubtaskState } from './manifest.js'
import type { SplitState } from './split-restore.js'
import type { StageAck } from './stage-ack.js'

/** What a manifest says beside its operators. */
export type ManifestHead = Pick<Manifest, 'job' | 'checkpointId' | 'kind' | 'createdAtMs' | 'attempt'>

/**
 * A checkpoint over stages in the embedded engine's format. The subtasks of a source's operators are its splits, by ordinal, so their number is
 * not the stage's parallelism; the state of the source itself is a {@link SplitState}.
 */
export function stageManifest(graph: JobGraph, head: ManifestHead, acks: readonly StageAck[]): Manifest {
  const operators = graph.vertices.flatMap((vertex) =>
    operatorsOf(
      vertex,
      acks.filter(({ stage }) => stage === vertex.id).toSorted((a, b) => a.index - b.index),
    ),
  )
  return { format: MANIFEST_FORMAT, ...head, operators }
}

function operatorsOf({ operators, parallelism, maxParallelism }: VertexPlan, acks: readonly StageAck[]): OperatorState[] {
  const subtasks = acks.reduce((most, { index }) => Math.max(most, index + 1), parallelism)
  return operators.map(({ uid, name, isSource }) => ({
    uid,
    name,
    parallelism: subtasks,
    maxParallelism,
    subtasks: acks.map((ack): OperatorSubtaskState => {
      const state = ack.operators.find((operator) => operator.uid === uid)
      const split: SplitState | undefined = ack.split === null ? undefined : { ...ack.split, ended: ack.ended }
      return {
        subtask: ack.index,
        keyed: state?.keyed ?? [],
        operatorState: isSource ? (split === undefined ? [] : [split]) : (state?.operatorState ?? []),
        ...(ack.ended ? { ended: true } : {}),
      }
    }),
  }))
}
