import { type Collector, defineJob, SlidingEventTimeWindows, TumblingEventTimeWindows } from 'millrace'
import { hashSink } from '../hash-sink.js'
import { countAggregate } from './count-aggregate.js'
import { nexmarkBids } from './sources.js'

interface AuctionCount {
  readonly auction: number
  readonly start: number
  readonly end: number
  readonly count: number
}

function collectLargest(counts: Iterable<AuctionCount>, out: Collector<AuctionCount>): void {
  let max = 0
  for (const c of counts) if (c.count > max) max = c.count
  for (const c of counts) if (c.count === max) out.collect(c)
}

/** Nexmark query 5: the auctions with most bids in the last 10 s, every 2 s. */
export default defineJob('q5', (env) => {
  nexmarkBids(env)
    .keyBy((bid) => bid.auction)
    .window(SlidingEventTimeWindows.of(10_000, 2000))
    .aggregate(countAggregate, {
      process(auction, ctx, counts, out: Collector<AuctionCount>) {
        for (const count of counts) out.collect({ auction, start: ctx.window.start, end: ctx.window.end, count })
      },
    })
    .keyBy((count) => count.end)
    // The results of a sliding window have the timestamp end - 1: a window of one slide holds exactly those of one window.
    .window(TumblingEventTimeWindows.of(2000))
    .process({
      process(_end, _ctx, counts, out: Collector<AuctionCount>) {
        collectLargest(counts, out)
      },
    })
    .sinkTo(hashSink((r) => `${r.start},${r.end},${r.auction},${r.count}`))
})
