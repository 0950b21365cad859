import { defineJob } from 'millrace'
import { hashSink } from '../hash-sink.js'
import { canonicalBid } from './canonical-bid.js'
import { nexmarkBids } from './sources.js'

/** Nexmark query 0: the bids as they are. */
export default defineJob('q0', (env) => {
  nexmarkBids(env).sinkTo(hashSink(canonicalBid))
})
