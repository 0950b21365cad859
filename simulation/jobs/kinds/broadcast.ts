import { type BroadcastState, listState, mapState } from '../../../runtime/index.js'
import { told, valuesOf } from '../checks.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import { type Item, NEARLY_LAST_TIME_MS } from '../item.js'
import type { JobPlan } from '../job-plan.js'
import type { JobFacts } from '../simulated-job.js'

/** The rule of a key with the greatest id counts, so that the order of rules makes no difference. */
const RULES = mapState<string, number>({ name: 'rules' })

interface Seen {
  readonly id: number
  readonly subtask: number
  /** Sum of the counted rules' ids + 1. */
  readonly rules: number
}

export function broadcastJob(draw: Draw): JobPlan {
  return draw.chance(0.5) ? keyedRules(draw) : rulesSeen(draw)
}

/** Items wait until all rules are known, which is when both streams are over. */
function keyedRules(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items'), drawStream(draw, 'rules')]
  return {
    name: 'broadcast rules, keyed items wait for them',
    streams,
    puts: drawPuts(draw, streams, { keys: draw.between(2, 8) }),
    sinks: ['out'],
    compare: 'exact',
    define(scene) {
      const rules = scene.items('rules').broadcast(RULES)
      const results = scene
        .items('items')
        .keyBy((item) => item.key)
        .connect(rules)
        .process<unknown, { waiting: ReturnType<typeof listState<Item>> }>({
          state: { waiting: listState<Item>() },
          processElement(item, { state, timerService }) {
            state.waiting.add(item)
            timerService.registerEventTimeTimer(NEARLY_LAST_TIME_MS)
          },
          processBroadcastElement: (rule, ctx) => applyRule(ctx.getBroadcastState(RULES), rule),
          onTimer(_time, ctx, out) {
            const known = [...ctx.getBroadcastState(RULES).entries()].sort(([a], [b]) => (a < b ? -1 : 1))
            for (const { id } of ctx.state.waiting.get()) out.collect({ id, known })
            ctx.state.waiting.clear()
          },
        })
        .uid('apply')
      scene.sink('out', results)
    },
  }
}

/** Items do not wait: which rules they meet is chance, but no subtask forgets one. */
function rulesSeen(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items'), drawStream(draw, 'rules')]
  return {
    name: 'broadcast rules, items meet them as they come',
    streams,
    puts: drawPuts(draw, streams, { keys: draw.between(2, 8) }),
    sinks: ['out'],
    compare: 'exact',
    define(scene) {
      let subtask = 0
      const results = scene
        .items('items')
        .rebalance()
        .connect(scene.items('rules').broadcast(RULES))
        .process<Seen>({
          open(context) {
            subtask = context.subtaskIndex
          },
          processElement({ id }, ctx, out) {
            const rules = [...ctx.getBroadcastState(RULES).values()].reduce((sum, rule) => sum + rule + 1, 0)
            out.collect({ id, subtask, rules })
          },
          processBroadcastElement: (rule, ctx) => applyRule(ctx.getBroadcastState(RULES), rule),
        })
        .uid('apply')
      scene.sink('out', results)
    },
    canonical: (_sink, value) => ({ id: (value as Seen).id }),
    check: neverForgotten,
  }
}

function applyRule(rules: BroadcastState<string, number>, { key, id }: Item): void {
  const before = rules.get(key)
  if (before === undefined || before < id) rules.put(key, id)
}

function neverForgotten(facts: JobFacts): string[] {
  const most = new Map<number, number>()
  const forgotten: string[] = []
  for (const { id, subtask, rules } of valuesOf<Seen>(facts, 'out')) {
    const before = most.get(subtask) ?? 0
    if (rules < before) forgotten.push(`item ${id} (${rules} after ${before})`)
    most.set(subtask, Math.max(before, rules))
  }
  return told('rules forgotten before', forgotten)
}
