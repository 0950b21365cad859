/** The Nexmark records. Times are epoch ms, prices are cents. */
export interface Person {
  readonly id: number
  readonly name: string
  readonly email: string
  readonly creditCard: string
  readonly city: string
  readonly state: string
  readonly dateTime: number
  readonly extra: string
}

export interface Auction {
  readonly id: number
  readonly itemName: string
  readonly description: string
  readonly initialBid: number
  readonly reserve: number
  readonly dateTime: number
  readonly expires: number
  readonly seller: number
  readonly category: number
  readonly extra: string
}

export interface Bid {
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly channel: string
  readonly url: string
  readonly dateTime: number
  readonly extra: string
}

export const PERSON = 0
export const AUCTION = 1
export const BID = 2

/** One event of the stream: `type` says which of the three is there. */
export interface NexmarkEvent {
  readonly type: typeof PERSON | typeof AUCTION | typeof BID
  readonly person: Person | null
  readonly auction: Auction | null
  readonly bid: Bid | null
}

/** The event time of an event, epoch ms. */
export function nexmarkTime(event: NexmarkEvent): number {
  if (event.type === BID) return (event.bid as Bid).dateTime
  return event.type === AUCTION ? (event.auction as Auction).dateTime : (event.person as Person).dateTime
}

/** The canonical string of an event, all fields. */
export function canonicalEvent(event: NexmarkEvent): string {
  if (event.type === PERSON) return `P,${Object.values(event.person as Person).join(',')}`
  return event.type === AUCTION ? `A,${Object.values(event.auction as Auction).join(',')}` : `B,${Object.values(event.bid as Bid).join(',')}`
}
