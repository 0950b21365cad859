import type { Manifest } from '../runtime/checkpoint/index.js'
import type { SplitState } from '../runtime/checkpoint/split-restore.js'
import type { DeployedControl } from './deployed-control.js'

/** Splits that are asked about at the same time. */
const AT_ONCE = 20

/**
 * By stage of a source that the checkpoint knows: since when the oldest record has been in its stream that the checkpoint does not count, epoch ms; now, if there is
 * none. A mapping that begins there, less a margin, delivers all of them again. A split that the checkpoint does not know continues one that it knows, so nothing
 * of it counts.
 */
export async function arrivalsBehind({ graph, control, ports }: DeployedControl, manifest: Manifest): Promise<Record<string, number>> {
  const oldest: Record<string, number> = {}
  for (const { id, operators } of graph.vertices) {
    const stream = control.options.sources[id]
    const states = manifest.operators.find(({ uid }) => uid === operators[0].uid)?.subtasks.flatMap(({ operatorState }) => operatorState)
    if (stream === undefined || states === undefined) continue
    const known = new Map((states as readonly SplitState[]).map((state) => [state.splitId, state]))
    const now = ports.clock.now()
    oldest[id] = now
    const splits = (await ports.streams.splits(stream)).filter(({ splitId }) => known.get(splitId)?.ended !== true)
    for (let from = 0; from < splits.length; from += AT_ONCE) {
      const arrivals = splits.slice(from, from + AT_ONCE).map(({ splitId }) => {
        const position = known.get(splitId)?.position ?? null
        return ports.streams.nextArrivalMs(stream, splitId, position === null ? undefined : BigInt(position), now)
      })
      for (const arrival of await Promise.all(arrivals)) oldest[id] = Math.min(oldest[id], arrival ?? now)
    }
  }
  return oldest
}
