import { type Collector, defineJob, EventTimeSessionWindows } from 'millrace'
import { hashSink } from '../hash-sink.js'
import { countAggregate } from './count-aggregate.js'
import { nexmarkBids } from './sources.js'

interface SessionCount {
  readonly bidder: number
  readonly count: number
  readonly start: number
  readonly end: number
}

/** Nexmark query 11: how many bids each bidder made in a session without a pause of 10 s. */
export default defineJob('q11', (env) => {
  nexmarkBids(env)
    .keyBy((bid) => bid.bidder)
    .window(EventTimeSessionWindows.withGap(10_000))
    .aggregate(countAggregate, {
      process(bidder, { window }, counts, out: Collector<SessionCount>) {
        for (const count of counts) out.collect({ bidder, count, start: window.start, end: window.end })
      },
    })
    .sinkTo(hashSink((r) => `${r.bidder},${r.count},${r.start},${r.end}`))
})
