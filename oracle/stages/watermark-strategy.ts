import { WatermarkStrategy } from '../../runtime/index.js'
import type { Ev } from '../element.js'
import type { Stage } from '../oracle-case.js'
import { unknownName } from '../unknown-name.js'

export function watermarkStrategy(stage: Stage): WatermarkStrategy<Ev> {
  let strategy = generator(stage)
  if (stage.timestamps !== 'keep') strategy = strategy.withTimestampAssigner(({ v }: Ev) => v)
  if (stage.idleness !== undefined) strategy = strategy.withIdleness(stage.idleness)
  return strategy
}

function generator({ strategy, ms }: Stage): WatermarkStrategy<Ev> {
  switch (strategy) {
    case 'bounded':
      return WatermarkStrategy.forBoundedOutOfOrderness(ms)
    case 'monotonous':
      return WatermarkStrategy.forMonotonousTimestamps()
    case 'none':
      return WatermarkStrategy.noWatermarks()
    case 'punctuated':
      return WatermarkStrategy.forGenerator(() => ({
        onEvent: ({ t }, timestamp, output) => {
          if (t === 'wm') output.emitWatermark(timestamp)
        },
        onPeriodicEmit: () => {},
      }))
    default:
      throw unknownName('watermark strategy', strategy)
  }
}
