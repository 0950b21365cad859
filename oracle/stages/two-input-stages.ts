import type { DataStream, Evictor, Trigger, Window, WindowAssigner } from '../../runtime/index.js'
import { type AnyStream, type Ev, evTag } from '../element.js'
import { broadcastRules, coMap, coTimers, enrich, intervalPair, RULES } from '../functions/two-input-functions.js'
import type { Stage } from '../oracle-case.js'
import { unknownName } from '../unknown-name.js'
import { windowAssigner } from './assigners.js'
import { windowEvictor, windowTrigger } from './triggers-and-evictors.js'
import { keyOf } from './window-stages.js'

type BuildStage = (stage: Stage, first: DataStream<Ev>, second: DataStream<Ev>) => AnyStream

/** Cases use none that looks into the elements: those are tagged with their input. */
type TaggedAssigner = WindowAssigner<unknown, Window>

/** Stages with two inputs, by op. */
export const TWO_INPUT_STAGES: Readonly<Record<string, BuildStage>> = {
  connect: connectStage,
  broadcast: (_stage, first, second) => first.keyBy(keyOf).connect(second.broadcast(RULES)).process(broadcastRules()),
  intervalJoin: intervalJoinStage,
  windowJoin: windowJoinStage,
  coGroup: coGroupStage,
}

function connectStage({ name }: Stage, first: DataStream<Ev>, second: DataStream<Ev>): AnyStream {
  switch (name) {
    case 'enrich':
      return first.keyBy(keyOf).connect(second.keyBy(keyOf)).process(enrich())
    case 'co-timers':
      return first.keyBy(keyOf).connect(second.keyBy(keyOf)).process(coTimers())
    case 'co-map':
      return first.connect(second).map(coMap())
    default:
      throw unknownName('connect function', name)
  }
}

function intervalJoinStage(stage: Stage, first: DataStream<Ev>, second: DataStream<Ev>): AnyStream {
  let join = first.keyBy(keyOf).intervalJoin(second.keyBy(keyOf)).between(stage.lower, stage.upper)
  if (stage.lowerExclusive === true) join = join.lowerBoundExclusive()
  if (stage.upperExclusive === true) join = join.upperBoundExclusive()
  if (stage.sideLate === true) join = join.sideOutputLeftLateData(evTag('late-left')).sideOutputRightLateData(evTag('late-right'))
  return join.process(intervalPair())
}

function windowJoinStage({ assigner, trigger, evictor, allowedLateness }: Stage, first: DataStream<Ev>, second: DataStream<Ev>): AnyStream {
  let windows = first
    .join(second)
    .where(keyOf)
    .equalTo(keyOf)
    .window(windowAssigner(assigner) as TaggedAssigner)
  if (trigger !== undefined) windows = windows.trigger(windowTrigger(trigger) as Trigger<unknown, Window>)
  if (evictor !== undefined) windows = windows.evictor(windowEvictor(evictor) as Evictor<unknown, Window>)
  if (allowedLateness !== undefined) windows = windows.allowedLateness(allowedLateness)
  return windows.apply((left, right) => ({ k: left.k, l: left.v, r: right.v }))
}

function coGroupStage({ assigner, allowedLateness }: Stage, first: DataStream<Ev>, second: DataStream<Ev>): AnyStream {
  let windows = first
    .coGroup(second)
    .where(keyOf)
    .equalTo(keyOf)
    .window(windowAssigner(assigner) as TaggedAssigner)
  if (allowedLateness !== undefined) windows = windows.allowedLateness(allowedLateness)
  return windows.apply<unknown>((lefts, rights, out) => {
    const k = rights.at(-1)?.k ?? lefts.at(-1)?.k ?? null
    out.collect({ k, l: lefts.map(({ v }) => v), r: rights.map(({ v }) => v) })
  })
}
