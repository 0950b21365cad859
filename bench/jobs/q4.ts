import { type Collector, defineJob, listState, valueState } from 'millrace'
import type { Auction } from '../generator/index.js'
import { hashSink } from '../hash-sink.js'
import { auctionsOf, bidsOf, nexmarkEvents } from './sources.js'

interface Sold {
  readonly category: number
  readonly price: number
}

type EarlyBid = readonly [dateTime: number, price: number]

/** Nexmark query 4: the average price of closed auctions by category. */
export default defineJob('q4', (env) => {
  const events = nexmarkEvents(env)
  const auctions = auctionsOf(events).keyBy((auction) => auction.id)
  const bids = bidsOf(events).keyBy((bid) => bid.auction)
  auctions
    .connect(bids)
    .process({
      // `early`: bids that came before their auction, until the watermark passes them.
      state: { auction: valueState<Auction>(), best: valueState<number>(), early: listState<EarlyBid>() },
      processElement1(auction, { state, timerService }) {
        const { dateTime, expires } = auction
        state.auction.update(auction)
        let best = state.best.value() ?? -1
        for (const [time, price] of state.early.get()) if (time >= dateTime && time <= expires && price > best) best = price
        if (best >= 0) state.best.update(best)
        state.early.clear()
        timerService.registerEventTimeTimer(expires)
      },
      processElement2({ dateTime, price }, { state, timerService }) {
        const auction = state.auction.value()
        if (auction !== null) {
          if (dateTime >= auction.dateTime && dateTime <= auction.expires && price > (state.best.value() ?? -1)) state.best.update(price)
        } else if (dateTime > timerService.currentWatermark()) {
          state.early.add([dateTime, price])
          timerService.registerEventTimeTimer(dateTime)
        }
      },
      onTimer(time, { state }, out: Collector<Sold>) {
        const auction = state.auction.value()
        if (auction === null) {
          state.early.update([...state.early.get()].filter(([early]) => early > time))
        } else if (time >= auction.expires) {
          const price = state.best.value()
          if (price !== null) out.collect({ category: auction.category, price })
          state.auction.clear()
          state.best.clear()
          state.early.clear()
        }
      },
    })
    .map(({ category, price }) => ({ category, count: 1, sum: price }))
    .keyBy((c) => c.category)
    .reduce((a, b) => ({ category: a.category, count: a.count + b.count, sum: a.sum + b.sum }))
    // What the averages are on the way depends on the order in which auctions end, so only the last of each category is hashed.
    .sinkTo(hashSink((c) => `${c.category},${c.count},${c.sum},${Math.floor(c.sum / c.count)}`, { lastBy: (c) => c.category }))
})
