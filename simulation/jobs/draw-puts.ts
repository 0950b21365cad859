import type { Draw } from './draw.js'
import type { Put } from './item.js'
import type { PlannedStream } from './job-plan.js'
import { drawTiming, type Timing } from './timing.js'

export interface PutOptions {
  readonly keys?: number
  /** One partition key for each key, so that the items of a key stay in order; else partition keys have nothing to do with keys. */
  readonly inOrder?: boolean
  /** Each stream has keys of its own. */
  readonly ownKeys?: boolean
  /** How many items; 30 to 85 by default. */
  readonly count?: number
}

/** Items for the streams in turn by chance. Their times, multiples of 10 ms, rise but for the streams' disorder. */
export function drawPuts(draw: Draw, streams: readonly PlannedStream[], options: PutOptions = {}): Put[] {
  const { keys = draw.between(1, 6), inOrder = false, ownKeys = false, count = draw.between(30, 85) } = options
  let clock = draw.pick([0, 0, -500, 1_000])
  const most = draw.pick([1, 3, 8])
  return Array.from({ length: count }, (_, id): Put => {
    const { name, timing } = draw.pick(streams)
    clock += 10 * draw.int(most + 1)
    const key = `${ownKeys ? `${name}-` : ''}k${draw.int(keys)}`
    const t = clock - 10 * draw.int(Math.floor(timing.disorderMs / 10) + 1)
    return { stream: name, partitionKey: inOrder ? key : `p${draw.int(16)}`, item: { id, key, v: draw.int(10), t } }
  })
}

export function drawStream(draw: Draw, name: string, timing: Timing = drawTiming(draw)): PlannedStream {
  return { name, splits: draw.pick([1, 1, 2, 2, 3, 4]), timing }
}
