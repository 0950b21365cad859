import type { AllWindowedStream, DataStream, Window, WindowedStream } from '../../runtime/index.js'
import { type AnyStream, type Ev, evTag } from '../element.js'
import { aggregateFunction, reduceFunction } from '../functions/reduce-and-aggregate.js'
import { aggregatedWindowFunction, processAllWindowFunction, processWindowFunction } from '../functions/window-functions.js'
import type { Stage } from '../oracle-case.js'
import { unknownName } from '../unknown-name.js'
import { windowAssigner } from './assigners.js'
import { windowEvictor, windowTrigger } from './triggers-and-evictors.js'

type Keyed = WindowedStream<Ev, string, Window, boolean>
type All = AllWindowedStream<Ev, Window, boolean>

export const keyOf = ({ k }: Ev) => k

export function windowStage(stage: Stage, input: DataStream<Ev>): AnyStream {
  const assigner = windowAssigner(stage.assigner)
  if (stage.keyed === false) return applyToAll(stage.function, configured(input.windowAll(assigner) as All, stage))
  return applyToKeyed(stage.function, configured(input.keyBy(keyOf).window(assigner) as Keyed, stage))
}

export function countWindowStage({ size, slide, function: fn }: Stage, input: DataStream<Ev>): AnyStream {
  return applyToKeyed(fn, input.keyBy(keyOf).countWindow(size, slide) as unknown as Keyed)
}

function configured<Windows extends Keyed | All>(windows: Windows, { trigger, evictor, allowedLateness, sideLate }: Stage): Windows {
  let spec: Keyed | All = windows
  if (trigger !== undefined) spec = spec.trigger(windowTrigger(trigger))
  if (evictor !== undefined) spec = spec.evictor(windowEvictor(evictor))
  if (allowedLateness !== undefined) spec = spec.allowedLateness(allowedLateness)
  if (sideLate === true) spec = spec.sideOutputLateData(evTag('late'))
  return spec as Windows
}

interface FunctionSpec {
  readonly type: string
  readonly name: string
  readonly first?: boolean
}

function applyToKeyed({ type, name, first = true }: FunctionSpec, windows: Keyed): AnyStream {
  switch (type) {
    case 'reduce':
      return windows.reduce(reduceFunction(name))
    case 'aggregate':
      return windows.aggregate(aggregateFunction(name))
    case 'process':
      return windows.process(processWindowFunction(name))
    case 'reduce+process':
      return windows.reduce(reduceFunction(name), aggregatedWindowFunction<Ev>())
    case 'aggregate+process':
      return windows.aggregate(aggregateFunction(name), aggregatedWindowFunction())
    case 'sum':
      return windows.sum('v')
    case 'min':
      return windows.min('v')
    case 'max':
      return windows.max('v')
    case 'minBy':
      return windows.minBy('v', first)
    case 'maxBy':
      return windows.maxBy('v', first)
    default:
      throw unknownName('window function', type)
  }
}

function applyToAll({ type, name }: FunctionSpec, windows: All): AnyStream {
  switch (type) {
    case 'reduce':
      return windows.reduce(reduceFunction(name))
    case 'aggregate':
      return windows.aggregate(aggregateFunction(name))
    case 'process':
      return windows.process(processAllWindowFunction(name))
    default:
      throw unknownName('windowAll function', type)
  }
}
