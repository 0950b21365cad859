import type { DataStream } from '../../runtime/index.js'
import type { AnyStream, Ev } from '../element.js'
import { keyedProcessFunction } from '../functions/keyed-process-functions.js'
import { processFunction } from '../functions/process-functions.js'
import { reduceFunction } from '../functions/reduce-and-aggregate.js'
import type { Stage } from '../oracle-case.js'
import { unknownName } from '../unknown-name.js'
import { watermarkStrategy } from './watermark-strategy.js'
import { countWindowStage, keyOf, windowStage } from './window-stages.js'

type BuildStage = (stage: Stage, input: DataStream<Ev>) => AnyStream

/** Stages with one input, by op. */
export const SINGLE_INPUT_STAGES: Readonly<Record<string, BuildStage>> = {
  map: ({ name }, input) => input.map(mapFunction(name)),
  filter: (_stage, input) => input.filter(({ v }) => v % 2 === 0),
  flatMap: (_stage, input) => input.flatMap(({ k, v, t }) => Array.from({ length: Math.max(0, v) }, (_, i) => ({ k, v: i, t }))),
  assign: (stage, input) => input.assignTimestampsAndWatermarks(watermarkStrategy(stage)),
  rolling: rollingStage,
  process: (stage, input) => input.keyBy(keyOf).process(keyedProcessFunction(stage)),
  processFn: ({ name }, input) => input.process(processFunction(name)),
  window: windowStage,
  countWindow: countWindowStage,
}

function mapFunction(name: string): (ev: Ev) => Ev {
  switch (name) {
    case 'double':
      return ({ k, v, t }) => ({ k, v: v * 2, t })
    case 'identity':
      return (ev) => ev
    case 'key-one':
      return ({ v, t }) => ({ k: 'one', v, t })
    default:
      throw unknownName('map function', name)
  }
}

function rollingStage({ agg, name, first = true }: Stage, input: DataStream<Ev>): DataStream<Ev> {
  const keyed = input.keyBy(keyOf)
  switch (agg) {
    case 'sum':
      return keyed.sum('v')
    case 'min':
      return keyed.min('v')
    case 'max':
      return keyed.max('v')
    case 'minBy':
      return keyed.minBy('v', first)
    case 'maxBy':
      return keyed.maxBy('v', first)
    case 'reduce':
      return keyed.reduce(reduceFunction(name))
    default:
      throw unknownName('rolling aggregation', agg)
  }
}
