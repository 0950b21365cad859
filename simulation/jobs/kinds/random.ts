import { type Collector, mapState, OutputTag, valueState } from '../../../runtime/index.js'
import { countedWithoutGaps, eachOnce, told, valuesOf } from '../checks.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { JobPlan, Scene } from '../job-plan.js'
import { slotOf, slotTimer } from './slots.js'

/** An item with what chance gave it. */
interface Tagged {
  readonly id: number
  readonly tag: number
}

const JOBS = [tagsInState, tagsInTwoStages, copies, randomKeys]

/** Functions whose results are chance: what was told downstream, outside and to state must be one story. */
export function randomJob(draw: Draw): JobPlan {
  return draw.pick(JOBS)(draw)
}

function drawTag(scene: Scene): number {
  return Math.floor(scene.chance() * 1_000_000_000)
}

const LATER = new OutputTag<{ readonly key: string; readonly slot: number; readonly tags: readonly Tagged[] }>('later')

/** A tag is told at once, and again from state when its stretch of time is over. */
function tagsInState(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items')]
  return {
    name: 'random tags in state, told again by timers',
    streams,
    puts: drawPuts(draw, streams),
    sinks: ['out', 'later'],
    compare: 'exact',
    define(scene) {
      const results = scene
        .items('items')
        .keyBy((item) => item.key)
        .process({
          state: { tags: mapState<number, readonly Tagged[]>() },
          processElement({ id, t }, { state, timerService }, out: Collector<Tagged>) {
            const tagged = { id, tag: drawTag(scene) }
            state.tags.put(slotOf(t), [...(state.tags.get(slotOf(t)) ?? []), tagged])
            timerService.registerEventTimeTimer(slotTimer(t))
            out.collect(tagged)
          },
          onTimer(time, ctx) {
            ctx.output(LATER, { key: ctx.currentKey, slot: slotOf(time), tags: ctx.state.tags.get(slotOf(time)) ?? [] })
            ctx.state.tags.remove(slotOf(time))
          },
        })
        .uid('tags')
      scene.sink(
        'out',
        results.rebalance().map((each) => each),
      )
      scene.sink('later', results.getSideOutput(LATER))
    },
    canonical(sink, value) {
      if (sink === 'out') return { id: (value as Tagged).id }
      const { key, slot, tags } = value as { readonly key: string; readonly slot: number; readonly tags: readonly Tagged[] }
      return { key, slot, ids: tags.map(({ id }) => id).sort((a, b) => a - b) }
    },
    check: (facts) =>
      differentTags(
        valuesOf<Tagged>(facts, 'out'),
        valuesOf<{ readonly tags: readonly Tagged[] }>(facts, 'later').flatMap(({ tags }) => tags),
      ),
  }
}

/** A source's stage draws the tag; two stages hear of it. */
function tagsInTwoStages(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items')]
  return {
    name: 'random tags of the source in two stages',
    streams,
    puts: drawPuts(draw, streams),
    sinks: ['out', 'other'],
    compare: 'exact',
    define(scene) {
      const tagged = scene
        .items('items')
        .map(({ id, key }) => ({ id, key, tag: drawTag(scene) }))
        .setParallelism(scene.sourceParallelism)
      const counted = tagged
        .keyBy((item) => item.key)
        .map(({ id, tag }): Tagged => ({ id, tag }))
        .uid('by-key')
      const other = tagged
        .rebalance()
        .map(({ id, tag }): Tagged => ({ id, tag }))
        .uid('dealt')
      scene.sink('out', counted)
      scene.sink('other', other)
    },
    canonical: (_sink, value) => ({ id: (value as Tagged).id }),
    check: (facts) => differentTags(valuesOf<Tagged>(facts, 'out'), valuesOf<Tagged>(facts, 'other')),
  }
}

function differentTags(some: readonly Tagged[], others: readonly Tagged[]): string[] {
  const tags = new Map(some.map(({ id, tag }) => [id, tag]))
  const different = others.filter(({ id, tag }) => tags.get(id) !== tag).map(({ id, tag }) => `${id} (${tags.get(id)} and ${tag})`)
  return told('two stories of item', different)
}

interface Copy {
  readonly id: number
  readonly i: number
  /** How many copies of the item there are. */
  readonly of: number
}

/** Each item becomes one to three of it, each of which goes its own way. */
function copies(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items')]
  const puts = drawPuts(draw, streams)
  return {
    name: 'random number of copies',
    streams,
    puts,
    sinks: ['out'],
    compare: 'history',
    define(scene) {
      const results = scene
        .items('items')
        .flatMap<Copy>({
          flatMap({ id }, out) {
            const of = 1 + Math.floor(scene.chance() * 3)
            for (let i = 0; i < of; i++) out.collect({ id, i, of })
          },
        })
        .setParallelism(scene.sourceParallelism)
        .keyBy((copy) => `${copy.id % 5}/${copy.i}`)
        .map((copy) => copy)
        .uid('copies')
      scene.sink('out', results)
    },
    check(facts) {
      const all = valuesOf<Copy>(facts, 'out')
      const numbers = new Map(all.map(({ id, of }) => [id, of]))
      const ids = puts.map(({ item }) => item.id)
      const wanted = ids.flatMap((id) => Array.from({ length: numbers.get(id) ?? 1 }, (_, i) => id * 10 + i))
      const disagreeing = all.filter(({ id, of }) => numbers.get(id) !== of).map(({ id }) => id)
      return [
        ...eachOnce(
          'copies (10 * id + number)',
          all.map(({ id, i }) => id * 10 + i),
          wanted,
        ),
        ...told('two stories of how many copies there are of', disagreeing),
      ]
    },
  }
}

interface Keyed {
  readonly id: number
  readonly key: string
  readonly n: number
}

/** Chance decides on the key, by which a later stage counts. */
function randomKeys(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items')]
  const keys = draw.between(2, 12)
  return {
    name: `random keys, ${keys} of them`,
    streams,
    puts: drawPuts(draw, streams),
    sinks: ['out'],
    compare: 'exact',
    define(scene) {
      const results = scene
        .items('items')
        .rebalance()
        .map(({ id }) => ({ id, key: `r${Math.floor(scene.chance() * keys)}` }))
        .uid('draw')
        .keyBy((item) => item.key)
        .process({
          state: { count: valueState<number>() },
          processElement({ id, key }, { state }, out: Collector<Keyed>) {
            const n = (state.count.value() ?? 0) + 1
            state.count.update(n)
            out.collect({ id, key, n })
          },
        })
        .uid('count')
      scene.sink('out', results)
    },
    canonical: (_sink, value) => ({ id: (value as Keyed).id }),
    check: (facts) =>
      countedWithoutGaps(
        'counts of key',
        valuesOf<Keyed>(facts, 'out').map(({ key, n }) => [key, n]),
      ),
  }
}
