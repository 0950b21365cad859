import { type DataStream, generatorSource, type StreamExecutionEnvironment, WatermarkStrategy } from 'millrace'
import {
  AUCTION,
  type Auction,
  accessLine,
  BID,
  type Bid,
  type NexmarkEvent,
  nexmark,
  nexmarkTime,
  PERSON,
  type Person,
  wordLine,
} from '../generator/index.js'
import { timedSource } from '../timed-source.js'

/** Parameters of every benchmark job: `--events` to generate, `--eps` events a second of event time. */
function sizes(env: StreamExecutionEnvironment): { readonly count: number; readonly eps: number } {
  return { count: env.parameters.getNumber('events', 1_000_000), eps: env.parameters.getNumber('eps', 10_000) }
}

export function accessLines(env: StreamExecutionEnvironment): DataStream<string> {
  const { count, eps } = sizes(env)
  const source = timedSource(generatorSource({ count, generate: (i) => accessLine(i, eps) }))
  return env.fromSource(source, WatermarkStrategy.noWatermarks<string>(), 'lines')
}

export function wordLines(env: StreamExecutionEnvironment): DataStream<string> {
  const source = timedSource(generatorSource({ count: sizes(env).count, generate: wordLine }))
  return env.fromSource(source, WatermarkStrategy.noWatermarks<string>(), 'lines')
}

/** Persons, auctions and bids as one stream, in event time. */
export function nexmarkEvents(env: StreamExecutionEnvironment): DataStream<NexmarkEvent> {
  const { count, eps } = sizes(env)
  const source = timedSource(generatorSource({ count, generate: (i) => nexmark(i, eps) }))
  return env.fromSource(source, WatermarkStrategy.forBoundedOutOfOrderness<NexmarkEvent>(4000).withTimestampAssigner(nexmarkTime), 'nexmark')
}

export function personsOf(events: DataStream<NexmarkEvent>): DataStream<Person> {
  return events.filter((event) => event.type === PERSON).map((event) => event.person as Person)
}

export function auctionsOf(events: DataStream<NexmarkEvent>): DataStream<Auction> {
  return events.filter((event) => event.type === AUCTION).map((event) => event.auction as Auction)
}

export function bidsOf(events: DataStream<NexmarkEvent>): DataStream<Bid> {
  return events.filter((event) => event.type === BID).map((event) => event.bid as Bid)
}

/** The bids among the Nexmark events. */
export function nexmarkBids(env: StreamExecutionEnvironment): DataStream<Bid> {
  return bidsOf(nexmarkEvents(env))
}
