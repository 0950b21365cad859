import type { Manifest, OperatorState, SegmentRef } from '../../runtime/checkpoint/index.js'

/** A small manifest to start from. */
export function aManifest(change: Partial<Manifest> = {}): Manifest {
  return { format: 1, job: 'clicks', checkpointId: 1, kind: 'checkpoint', createdAtMs: 1_700_000_000_000, attempt: 0, operators: [], ...change }
}

/** An operator with the given segments, one subtask each. */
export function anOperator(uid: string, segments: readonly (readonly SegmentRef[])[], change: Partial<OperatorState> = {}): OperatorState {
  const subtasks = segments.map((keyed, subtask) => ({ subtask, keyed, operatorState: [] }))
  return { uid, name: `${uid} operator`, parallelism: segments.length, maxParallelism: 128, subtasks, ...change }
}

/** `n1`, `n2`, … */
export function countingNonces(): () => string {
  let n = 0
  return () => `n${++n}`
}
