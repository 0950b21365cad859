import { defineJob } from 'millrace'
import type { Bid } from '../generator/index.js'
import { hashSink } from '../hash-sink.js'
import { canonicalBid } from './canonical-bid.js'
import { nexmarkBids } from './sources.js'

function inEuro(bid: Bid): Bid {
  return {
    auction: bid.auction,
    bidder: bid.bidder,
    price: Math.floor((bid.price * 908) / 1000),
    channel: bid.channel,
    url: bid.url,
    dateTime: bid.dateTime,
    extra: bid.extra,
  }
}

/** Nexmark query 1: the bids with their prices converted. */
export default defineJob('q1', (env) => {
  nexmarkBids(env).map(inEuro).sinkTo(hashSink(canonicalBid))
})
