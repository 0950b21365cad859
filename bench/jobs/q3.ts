import { type Collector, defineJob, type KeyedCoProcessFunction, listState, type StateDeclaration, valueState } from 'millrace'
import type { Auction, Person } from '../generator/index.js'
import { hashSink } from '../hash-sink.js'
import { auctionsOf, nexmarkEvents, personsOf } from './sources.js'

const STATES = new Set(['OR', 'ID', 'CA'])

interface Sellers extends StateDeclaration {
  readonly person: ReturnType<typeof valueState<Person>>
  readonly waiting: ReturnType<typeof listState<Auction>>
}

/** Auctions wait for their seller, for as long as it takes. */
const sellers: KeyedCoProcessFunction<number, Auction, Person, string, Sellers> = {
  state: { person: valueState<Person>(), waiting: listState<Auction>() },
  processElement1(auction, { state }, out) {
    const person = state.person.value()
    if (person === null) state.waiting.add(auction)
    else out.collect(sale(person, auction))
  },
  processElement2(person, { state }, out: Collector<string>) {
    state.person.update(person)
    for (const auction of state.waiting.get()) out.collect(sale(person, auction))
    state.waiting.clear()
  },
}

function sale({ name, city, state }: Person, { id }: Auction): string {
  return `${name},${city},${state},${id}`
}

/** Nexmark query 3: who sells in category 10 in three states. */
export default defineJob('q3', (env) => {
  const events = nexmarkEvents(env)
  const auctions = auctionsOf(events)
    .filter((auction) => auction.category === 10)
    .keyBy((auction) => auction.seller)
  const persons = personsOf(events)
    .filter((person) => STATES.has(person.state))
    .keyBy((person) => person.id)
  auctions
    .connect(persons)
    .process(sellers)
    .sinkTo(hashSink((s) => s))
})
