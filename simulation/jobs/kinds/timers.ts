import { type Collector, type KeyedStream, listState, mapState, valueState } from '../../../runtime/index.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan, Results } from '../job-plan.js'
import { SLOT_MS, slotOf, slotTimer } from './slots.js'

type Keyed = KeyedStream<Item, string>

/** Timers of a chain follow the first by so much. */
const STEP_MS = 7
const LONGEST_CHAIN = 4

const FUNCTIONS: Readonly<Record<string, (items: Keyed) => Results>> = { slots: slotSums, chains, 'taken back': takenBack, late }

/** A keyed function whose event-time timers stand for stretches of time that are over. */
export function timersJob(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items')]
  const fn = draw.pick(Object.keys(FUNCTIONS))
  return {
    name: `event-time timers, ${fn}`,
    streams,
    // Of many keys most do not come again before their timers are due: nothing else brings those into memory.
    puts: drawPuts(draw, streams, { inOrder: true, ...(fn === 'late' ? { keys: draw.between(5, 30) } : {}) }),
    sinks: ['out'],
    compare: 'exact',
    define: (scene) => scene.sink('out', FUNCTIONS[fn](scene.items('items').keyBy((item) => item.key)).uid('timers')),
  }
}

function slotSums(items: Keyed): Results {
  return items.process({
    state: { ids: mapState<number, readonly number[]>() },
    processElement({ id, t }, { state, timerService }) {
      state.ids.put(slotOf(t), [...(state.ids.get(slotOf(t)) ?? []), id])
      timerService.registerEventTimeTimer(slotTimer(t))
    },
    onTimer(time, { currentKey, state }, out: Collector<unknown>) {
      out.collect({ key: currentKey, slot: slotOf(time), ids: state.ids.get(slotOf(time)) ?? null })
      state.ids.remove(slotOf(time))
    },
  })
}

/** Each timer registers the next, as long as the slot's count lasts. */
function chains(items: Keyed): Results {
  return items.process({
    state: { counts: mapState<number, number>() },
    processElement({ t }, { state, timerService }) {
      state.counts.put(slotOf(t), (state.counts.get(slotOf(t)) ?? 0) + 1)
      timerService.registerEventTimeTimer(slotTimer(t))
    },
    onTimer(time, { currentKey, state, timerService }, out: Collector<unknown>) {
      const link = linkOf(time)
      const slot = slotOf(time - link * STEP_MS)
      const count = state.counts.get(slot) ?? 0
      out.collect({ key: currentKey, slot, link, count })
      if (count > 1 && link < LONGEST_CHAIN) {
        state.counts.put(slot, Math.floor(count / 2))
        timerService.registerEventTimeTimer(time + STEP_MS)
      } else state.counts.remove(slot)
    },
  })
}

/** How many timers of a chain came before the one of this time. */
function linkOf(time: number): number {
  for (let link = 0; link <= LONGEST_CHAIN; link++) if (slotTimer(time - link * STEP_MS) === time - link * STEP_MS) return link
  return -1
}

/** Some items take the timer of their slot back; the items of a key are in order. */
function takenBack(items: Keyed): Results {
  return items.process({
    state: { last: mapState<number, number>(), all: listState<number>(), count: valueState<number>() },
    processElement({ id, v, t }, { state, timerService }, out: Collector<unknown>) {
      state.last.put(slotOf(t), id)
      state.count.update((state.count.value() ?? 0) + 1)
      state.all.add(v)
      if (v % 3 === 0) timerService.deleteEventTimeTimer(slotTimer(t))
      else timerService.registerEventTimeTimer(slotTimer(t))
      out.collect({ id, count: state.count.value(), sum: [...state.all.get()].reduce((a, b) => a + b, 0) })
    },
    onTimer(time, { currentKey, state }, out: Collector<unknown>) {
      out.collect({ key: currentKey, from: slotOf(time) * SLOT_MS, last: state.last.get(slotOf(time)) ?? null })
    },
  })
}

/** Each item asks for a timer of its own at a time that is over: it fires with the next watermark. */
function late(items: Keyed): Results {
  return items.process({
    processElement({ id }, { timerService }) {
      timerService.registerEventTimeTimer(-1 - id)
    },
    onTimer(time, { currentKey }, out: Collector<unknown>) {
      out.collect({ key: currentKey, id: -1 - time })
    },
  })
}
