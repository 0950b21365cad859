import { expect, expectTypeOf, test } from 'vitest'
import type { DataStream } from '../../runtime/api/index.js'
import { TumblingEventTimeWindows } from '../../runtime/api/windowing/index.js'
import { type Collector, mapState, valueState } from '../../runtime/core/index.js'

interface Order {
  readonly id: string
}

/** The examples of doc comments, as they stand there. */
test('the examples compile and have these types', () => {
  const coProcess = (orders: DataStream<Order>, payments: DataStream<{ order: string }>) =>
    orders
      .keyBy((o) => o.id)
      .connect(payments.keyBy((p) => p.order))
      .process({
        state: { order: valueState<Order>() },
        processElement1(order, ctx) {
          ctx.state.order.update(order)
        },
        processElement2(payment, ctx, out: Collector<string>) {
          const order = ctx.state.order.value()
          out.collect(order === null ? `${payment.order}: paid, not ordered` : `${order.id}: paid`)
        },
      })
  expectTypeOf(coProcess).returns.toEqualTypeOf<DataStream<string>>()

  const connected = (readings: DataStream<{ sensor: string; value: number }>, alarms: DataStream<{ text: string }>) =>
    readings.connect(alarms).map({
      map1: (reading) => `${reading.sensor}: ${reading.value}`,
      map2: (alarm) => alarm.text,
    })
  expectTypeOf(connected).returns.toEqualTypeOf<DataStream<string>>()

  const broadcast = (readings: DataStream<{ sensor: string; kind: string; value: number }>, limits: DataStream<{ kind: string; most: number }>) => {
    const rules = mapState<string, number>({ name: 'rules' })
    return readings
      .keyBy((r) => r.sensor)
      .connect(limits.broadcast(rules))
      .process({
        processElement(reading, ctx, out: Collector<string>) {
          const limit = ctx.getBroadcastState(rules).get(reading.kind)
          if (limit !== undefined && reading.value > limit) out.collect(`${ctx.currentKey}: ${reading.value}`)
        },
        processBroadcastElement(limit, ctx) {
          ctx.getBroadcastState(rules).put(limit.kind, limit.most)
        },
      })
  }
  expectTypeOf(broadcast).returns.toEqualTypeOf<DataStream<string>>()

  const interval = (clicks: DataStream<{ user: number; page: string }>, orders: DataStream<{ user: number; item: string }>) =>
    clicks
      .keyBy((c) => c.user)
      .intervalJoin(orders.keyBy((o) => o.user))
      .between(0, 60_000)
      .process({
        processElement(click, order, ctx, out: Collector<string>) {
          out.collect(`${click.page} -> ${order.item} after ${ctx.rightTimestamp - ctx.leftTimestamp} ms`)
        },
      })
  expectTypeOf(interval).returns.toEqualTypeOf<DataStream<string>>()

  const windows = (persons: DataStream<{ id: number; name: string }>, auctions: DataStream<{ seller: number; item: string }>) => {
    const join = persons
      .join(auctions)
      .where((p) => p.id)
      .equalTo((a) => a.seller)
      .window(TumblingEventTimeWindows.of(10_000))
      .apply((person, auction) => `${person.name} sells ${auction.item}`)
    const coGroup = persons
      .coGroup(auctions)
      .where((p) => p.id)
      .equalTo((a) => a.seller)
      .window(TumblingEventTimeWindows.of(10_000))
      .apply((newPersons, newAuctions, out: Collector<string>) => {
        for (const person of newPersons) out.collect(`${person.name}: ${newAuctions.length}`)
      })
    return [join, coGroup] as const
  }
  expectTypeOf(windows).returns.toEqualTypeOf<readonly [DataStream<string>, DataStream<string>]>()
  expect([coProcess, connected, broadcast, interval, windows].length).toBe(5)
})
