import { type Collector, defineJob, TumblingEventTimeWindows } from 'millrace'
import { hashSink } from '../hash-sink.js'
import { auctionsOf, nexmarkEvents, personsOf } from './sources.js'

/** Nexmark query 8: who came and opened an auction in the same 10 s. */
export default defineJob('q8', (env) => {
  const events = nexmarkEvents(env)
  personsOf(events)
    .coGroup(auctionsOf(events))
    .where((person) => person.id)
    .equalTo((auction) => auction.seller)
    .window(TumblingEventTimeWindows.of(10_000))
    .apply((persons, auctions, out: Collector<string>) => {
      if (auctions.length === 0) return
      for (const { id, name, dateTime } of persons) out.collect(`${id},${name},${dateTime - (dateTime % 10_000)}`)
    })
    .sinkTo(hashSink((s) => s))
})
