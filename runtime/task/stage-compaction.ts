import { readKeyedState } from '../checkpoint/keyed-restore.js'
import type { SegmentRef } from '../checkpoint/manifest.js'
import { keyGroupRange, mergeSegments } from '../state/index.js'
import type { BaseState } from './base-state.js'
import { chooseCompaction } from './compaction-choice.js'
import type { LiveStage } from './live-stage.js'
import type { StagePorts } from './stage-ports.js'
import type { StageSettings } from './stage-settings.js'

/** Segments of one operator that stand one after the other in a base, and the one that says the same (none when that is nothing). */
export interface Compaction {
  readonly uid: string
  readonly replaced: readonly SegmentRef[]
  readonly by: readonly SegmentRef[]
  /** Nothing older was behind them, and removals left no tombstones. */
  readonly atBottom: boolean
}

/** What is to be compacted beside the ordinary work; the newest changes, which stand inline, are left to the next base. */
export function dueCompaction({ keyed }: BaseState, limits: StageSettings): Pick<Compaction, 'uid' | 'replaced'> | undefined {
  for (const [uid, refs] of keyed) {
    const settled = refs.at(-1)?.inline === undefined ? refs : refs.slice(0, -1)
    const run = chooseCompaction(
      settled.map(({ bytes }) => bytes),
      limits,
    )
    if (run !== undefined) return { uid, replaced: settled.slice(run.from, run.to) }
  }
  return undefined
}

/**
 * Merges them. Touches neither the log nor the memory: segments do not change, so whatever is committed meanwhile, the result may take their place
 * in any base that still has them. What it replaces stays for whoever still reads it.
 */
export async function compact(
  { uid, replaced }: Pick<Compaction, 'uid' | 'replaced'>,
  { keyed }: BaseState,
  live: LiveStage,
  ports: Pick<StagePorts, 'checkpoints'>,
  { blockBytes }: StageSettings,
): Promise<Compaction> {
  const { maxParallelism, parallelism } = live.options.vertex
  const segments = await readKeyedState(replaced, (ref) => ports.checkpoints.readSegment(ref))
  const atBottom = keyed.get(uid)?.[0] === replaced[0]
  const bytes = mergeSegments(segments, keyGroupRange(live.index, maxParallelism, parallelism), {
    bottom: atBottom,
    sweptTo: live.sweptTo(uid),
    blockBytes,
  })
  return { uid, replaced, atBottom, by: bytes === undefined ? [] : [await ports.checkpoints.writeSegment(uid, live.index, live.epoch, bytes)] }
}

/** The base with the one in the place of the others; undefined when they are no longer what stands there, one after the other. */
export function compacted({ keyed, operatorStates }: BaseState, { uid, replaced, by, atBottom }: Compaction): BaseState | undefined {
  const refs = keyed.get(uid) ?? []
  const from = refs.findIndex((ref) => isSame(ref, replaced[0]))
  if (from < 0 || (atBottom && from > 0) || !replaced.every((ref, i) => refs[from + i] !== undefined && isSame(refs[from + i], ref))) return undefined
  const left = [...refs.slice(0, from), ...by, ...refs.slice(from + replaced.length)]
  const next = new Map(keyed).set(uid, left)
  if (left.length === 0) next.delete(uid)
  return { keyed: next, operatorStates }
}

/** The same blob may stand in a base several times, each time for other key groups. */
function isSame(a: SegmentRef, b: SegmentRef): boolean {
  return a.name === b.name && a.keyGroups?.first === b.keyGroups?.first && a.keyGroups?.last === b.keyGroups?.last
}
