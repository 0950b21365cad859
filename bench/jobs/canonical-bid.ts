import type { Bid } from '../generator/index.js'

export function canonicalBid(bid: Bid): string {
  return `${bid.auction},${bid.bidder},${bid.price},${bid.dateTime}`
}
