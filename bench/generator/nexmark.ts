import { eventTime } from './event-time.js'
import { flatString } from './flat-string.js'
import { rnd } from './mix.js'
import { AUCTION, type Auction, BID, type Bid, type NexmarkEvent, PERSON, type Person } from './nexmark-model.js'

const FIRST_NAMES = ['Peter', 'Paul', 'Luke', 'John', 'Saul', 'Vicky', 'Kate', 'Julie', 'Sarah', 'Deiter', 'Walter']
const LAST_NAMES = ['Shultz', 'Abrams', 'Spencer', 'White', 'Bartels', 'Walton', 'Smith', 'Jones', 'Noris']
const CITIES = ['Phoenix', 'Los Angeles', 'San Francisco', 'Boise', 'Portland', 'Bend', 'Redmond', 'Seattle', 'Kent', 'Cheyenne']
const STATES = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY']
const CHANNEL_NAMES = ['Google', 'Facebook', 'Baidu', 'Apple']

const FIRST_ID = 1000
const EVENTS_PER_EPOCH = 50
const AUCTIONS_PER_EPOCH = 3
const ACTIVE_PEOPLE = 1000
const AUCTIONS_IN_FLIGHT = 100
/** Ids are drawn up to this many ahead of the newest. */
const LEAD = 10
/** A hot id is the first of a batch of this many. */
const HOT_BATCH = 100
/** Events until an auction leaves the hundred in flight. */
const EVENTS_IN_FLIGHT = Math.floor((AUCTIONS_IN_FLIGHT * EVENTS_PER_EPOCH) / AUCTIONS_PER_EPOCH)

const PAD = flatString(Array.from({ length: 1024 }, (_, k) => String.fromCharCode(97 + rnd(k, 99, 26))).join(''))
const SHORT_PADS = Array.from({ length: 512 }, (_, start) => flatString(PAD.slice(start, start + 20)))
const CHANNELS = Array.from({ length: 10_000 }, (_, n) => (n % 2 === 0 ? CHANNEL_NAMES[(n >> 1) & 3] : `channel-${n}`))
const URLS = Array.from({ length: 10_000 }, (_, n) => flatString(`https://www.nexmark.com/item.htm?query=1&channel_id=${n}`))
const POWERS_OF_TEN = [1, 10, 100, 1000, 10_000, 100_000]

function pad(n: number, salt: number, length: number): string {
  const start = rnd(n, salt, 512)
  return PAD.slice(start, start + length)
}

function price(n: number, salt: number): number {
  const base = 100 * POWERS_OF_TEN[rnd(n, salt, 6)]
  return base + rnd(n, salt + 1, 9 * base)
}

function anyPerson(n: number, salt: number, lastPerson: number): number {
  const people = lastPerson + 1
  const active = Math.min(people, ACTIVE_PEOPLE)
  return FIRST_ID + people - active + rnd(n, salt, active + LEAD)
}

function hot(last: number): number {
  return FIRST_ID + last - (last % HOT_BATCH)
}

function person(n: number, epoch: number, dateTime: number): Person {
  return {
    id: FIRST_ID + epoch,
    name: `${FIRST_NAMES[rnd(n, 21, 11)]} ${LAST_NAMES[rnd(n, 22, 9)]}`,
    email: `${pad(n, 23, 7)}@${pad(n, 24, 5)}.com`,
    creditCard: `${1000 + rnd(n, 25, 9000)} ${1000 + rnd(n, 26, 9000)}`,
    city: CITIES[rnd(n, 27, 10)],
    state: STATES[rnd(n, 28, 6)],
    dateTime,
    extra: pad(n, 29, 100),
  }
}

function auction(i: number, n: number, epoch: number, offset: number, dateTime: number, eps: number): Auction {
  const initialBid = price(n, 34)
  const horizon = eventTime(i + EVENTS_IN_FLIGHT, eps) - dateTime
  return {
    id: FIRST_ID + epoch * AUCTIONS_PER_EPOCH + offset - 1,
    itemName: pad(n, 39, 20),
    description: pad(n, 40, 100),
    initialBid,
    reserve: initialBid + price(n, 36),
    dateTime,
    expires: dateTime + 1 + rnd(n, 38, Math.max(horizon * 2, 1)),
    seller: rnd(n, 31, 4) > 0 ? hot(epoch) : anyPerson(n, 32, epoch),
    category: 10 + rnd(n, 33, 5),
    extra: pad(n, 41, 300),
  }
}

function anyAuction(n: number, lastAuction: number): number {
  const oldest = lastAuction > AUCTIONS_IN_FLIGHT ? lastAuction - AUCTIONS_IN_FLIGHT : 0
  return FIRST_ID + oldest + rnd(n, 52, lastAuction - oldest + 1 + LEAD)
}

function bid(n: number, epoch: number, dateTime: number): Bid {
  const lastAuction = epoch * AUCTIONS_PER_EPOCH + AUCTIONS_PER_EPOCH - 1
  const channel = rnd(n, 57, 10_000)
  return {
    auction: rnd(n, 51, 2) > 0 ? hot(lastAuction) : anyAuction(n, lastAuction),
    bidder: rnd(n, 53, 4) > 0 ? hot(epoch) + 1 : anyPerson(n, 54, epoch),
    price: price(n, 55),
    channel: CHANNELS[channel],
    url: URLS[channel],
    dateTime,
    extra: SHORT_PADS[rnd(n, 58, 512)],
  }
}

/** Nexmark event `i`: of fifty, one person, three auctions, 46 bids. */
export function nexmark(i: number, eps: number): NexmarkEvent {
  const n = i | 0
  const epoch = (i / EVENTS_PER_EPOCH) | 0
  const offset = i - epoch * EVENTS_PER_EPOCH
  const dateTime = eventTime(i, eps)
  if (offset > AUCTIONS_PER_EPOCH) return { type: BID, person: null, auction: null, bid: bid(n, epoch, dateTime) }
  if (offset > 0) return { type: AUCTION, person: null, auction: auction(i, n, epoch, offset, dateTime, eps), bid: null }
  return { type: PERSON, person: person(n, epoch, dateTime), auction: null, bid: null }
}
