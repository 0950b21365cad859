import type { DataStream } from '../../../runtime/index.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan } from '../job-plan.js'
import { drawCarelessTiming } from '../timing.js'

type Step =
  | { readonly op: 'map'; readonly add: number }
  | { readonly op: 'filter'; readonly mod: number }
  | { readonly op: 'flatMap'; readonly mod: number }

const WAYS = ['rebalance', 'shuffle', 'rescale', 'global', 'custom', 'broadcast', 'hash', 'none'] as const
type Way = (typeof WAYS)[number]

/** Two or three stages without state, joined in all ways. */
export function statelessJob(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items', drawCarelessTiming(draw))]
  const steps = Array.from({ length: draw.between(2, 3) }, () => drawStep(draw))
  const ways = steps.slice(1).map((): Way => (draw.chance(0.5) ? 'rebalance' : draw.pick(WAYS)))
  const place = draw.chance(0.3) ? 'own' : undefined
  return {
    name: `stateless ${steps.map(({ op }, i) => (i === 0 ? op : `${ways[i - 1]} ${op}`)).join(' ')}`,
    streams,
    puts: drawPuts(draw, streams),
    sinks: ['out'],
    compare: 'exact',
    define(scene) {
      const first = applied(scene.items('items'), steps[0]).setParallelism(scene.sourceParallelism)
      const results = ways.reduce(
        (from, way, i) =>
          applied(sent(from, way), steps[i + 1])
            .uid(`stage-${i + 1}`)
            .startNewChain(),
        first,
      )
      scene.sink('out', results, place)
    },
  }
}

function drawStep(draw: Draw): Step {
  const op = draw.pick(['map', 'filter', 'flatMap'] as const)
  return op === 'map' ? { op, add: draw.between(1, 5) } : { op, mod: draw.between(2, 4) }
}

function applied(from: DataStream<Item>, step: Step): DataStream<Item> {
  switch (step.op) {
    case 'map':
      return from.map((item) => ({ ...item, v: item.v + step.add }))
    case 'filter':
      return from.filter((item) => item.v % step.mod !== 0)
    case 'flatMap':
      return from.flatMap((item) => Array.from({ length: item.id % step.mod }, (_, i) => ({ ...item, v: item.v * 10 + i })))
  }
}

function sent(from: DataStream<Item>, way: Way): DataStream<Item> {
  switch (way) {
    case 'rebalance':
      return from.rebalance()
    case 'shuffle':
      return from.shuffle()
    case 'rescale':
      return from.rescale()
    case 'global':
      return from.global()
    case 'custom':
      return from.partitionCustom(
        (id: number, subtasks) => id % subtasks,
        (item) => item.id,
      )
    case 'hash':
      return from.keyBy((item) => item.key)
    case 'broadcast':
      return scatteredAgain(from.broadcast())
    case 'none':
      return from
  }
}

/** Of what every subtask gets each one keeps its part. */
function scatteredAgain(from: DataStream<Item>): DataStream<Item> {
  let index = 0
  let parallelism = 1
  return from.filter({
    open(context) {
      index = context.subtaskIndex
      parallelism = context.parallelism
    },
    filter: ({ id }) => id % parallelism === index,
  })
}
