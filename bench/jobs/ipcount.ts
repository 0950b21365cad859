import { type Collector, defineJob, TumblingEventTimeWindows, WatermarkStrategy } from 'millrace'
import { hashSink } from '../hash-sink.js'
import { type Access, parseAccess } from './access.js'
import { countAggregate } from './count-aggregate.js'
import { accessLines } from './sources.js'

interface IpCount {
  readonly ip: string
  readonly start: number
  readonly end: number
  readonly count: number
}

/** Accesses of each address in windows of 5 s. */
export default defineJob('ipcount', (env) => {
  accessLines(env)
    .map(parseAccess)
    .assignTimestampsAndWatermarks(WatermarkStrategy.forBoundedOutOfOrderness<Access>(1000).withTimestampAssigner((access) => access.ts))
    .keyBy((access) => access.ip)
    .window(TumblingEventTimeWindows.of(5000))
    .aggregate(countAggregate, {
      process(ip, ctx, counts, out: Collector<IpCount>) {
        for (const count of counts) out.collect({ ip, start: ctx.window.start, end: ctx.window.end, count })
      },
    })
    .sinkTo(hashSink((r) => `${r.ip},${r.start},${r.end},${r.count}`))
})
