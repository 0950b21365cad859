import { type Collector, defineJob, TumblingEventTimeWindows } from 'millrace'
import type { Bid } from '../generator/index.js'
import { hashSink } from '../hash-sink.js'
import { canonicalBid } from './canonical-bid.js'
import { nexmarkBids } from './sources.js'

interface HighestBid {
  readonly start: number
  readonly bid: Bid
}

function isBetter(a: Bid, b: Bid): boolean {
  if (a.price !== b.price) return a.price > b.price
  if (a.dateTime !== b.dateTime) return a.dateTime < b.dateTime
  return a.auction !== b.auction ? a.auction < b.auction : a.bidder < b.bidder
}

/** Nexmark query 7: the highest bid of every 10 s. */
export default defineJob('q7', (env) => {
  nexmarkBids(env)
    .windowAll(TumblingEventTimeWindows.of(10_000))
    .reduce((a, b) => (isBetter(a, b) ? a : b), {
      process(ctx, bids, out: Collector<HighestBid>) {
        for (const bid of bids) out.collect({ start: ctx.window.start, bid })
      },
    })
    .sinkTo(hashSink((r) => `${r.start},${r.start + 10_000},${canonicalBid(r.bid)}`))
})
