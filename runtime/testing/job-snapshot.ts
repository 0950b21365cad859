import { type Manifest, planRestore, readKeyedState, type SegmentRef } from '../checkpoint/index.js'
import { crc32 } from '../core/index.js'
import type { JobGraph } from '../plan/index.js'
import { pack, unpack } from '../state/index.js'
import type { RestoredOperator } from '../task/operator-chain.js'
import type { WiredJob } from './job-wiring.js'

/** A checkpoint in memory: the manifest, and the segments that it names as they would be written. */
export interface JobSnapshot {
  readonly manifest: Manifest
  readonly segments: ReadonlyMap<string, Uint8Array>
}

/** Takes a snapshot of every operator; what changed since the last one where there was one. */
export async function takeSnapshot({ job, subtasks }: WiredJob, checkpointId: number, segments: Map<string, Uint8Array>): Promise<JobSnapshot> {
  // All states are taken before anything is waited for, as at a barrier.
  const taken = subtasks.flatMap(({ parts: { chain, subtask, vertex } }) =>
    chain.map(({ plan: { uid, name }, operator, keyed }) => {
      const write = async (bytes: Uint8Array): Promise<SegmentRef> => {
        const ref = { name: `${uid}-${subtask}-${checkpointId}`, bytes: bytes.length, crc32: crc32(bytes) }
        segments.set(ref.name, bytes)
        return ref
      }
      return { uid, name, subtask, vertex, operatorState: operator.snapshotState(checkpointId), keyed: keyed?.snapshot(write) ?? [] }
    }),
  )
  const states = await Promise.all(
    taken.map(async ({ operatorState, keyed, ...place }) => ({ ...place, state: { operatorState: await operatorState, keyed: await keyed } })),
  )
  const uids = [...new Set(states.map(({ uid }) => uid))]
  const operators = uids.map((uid) => {
    const own = states.filter((state) => state.uid === uid)
    const [{ name, vertex }] = own
    return {
      uid,
      name,
      parallelism: vertex.parallelism,
      maxParallelism: vertex.maxParallelism,
      subtasks: own.map(({ subtask, state }) => ({ subtask, keyed: state.keyed, operatorState: unpack(pack(state.operatorState)) as unknown[] })),
    }
  })
  const manifest: Manifest = { format: 1, job: job.graph.job, checkpointId, kind: 'checkpoint', createdAtMs: 0, attempt: 0, operators }
  return { manifest, segments: new Map(segments) }
}

/** What one subtask's operators take from a snapshot, by uid. Parallelism may have changed. */
export async function restoredOperators(
  snapshot: JobSnapshot | undefined,
  graph: JobGraph,
): Promise<(subtask: number) => ReadonlyMap<string, RestoredOperator>> {
  if (snapshot === undefined) return () => new Map()
  const wanted = graph.vertices.flatMap(({ operators, parallelism, maxParallelism }) =>
    operators.map(({ uid }) => ({ uid, parallelism, maxParallelism })),
  )
  const { operators } = planRestore(snapshot.manifest, graph.job, wanted)
  const bySubtask: Map<string, RestoredOperator>[] = []
  for (const [uid, { subtasks }] of operators) {
    for (const [subtask, { keyed, operatorState }] of subtasks.entries()) {
      bySubtask[subtask] ??= new Map()
      const segments = await readKeyedState(keyed, async ({ name }) => snapshot.segments.get(name) as Uint8Array)
      bySubtask[subtask].set(uid, { segments, operatorState })
    }
  }
  return (subtask) => bySubtask[subtask] ?? new Map()
}
