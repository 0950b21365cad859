import { defineJob } from 'millrace'
import { hashSink } from '../hash-sink.js'
import { nexmarkBids } from './sources.js'

/** Nexmark query 2: the bids on certain auctions. */
export default defineJob('q2', (env) => {
  nexmarkBids(env)
    .filter((bid) => bid.auction % 123 === 0)
    .sinkTo(hashSink((bid) => `${bid.auction},${bid.price}`))
})
