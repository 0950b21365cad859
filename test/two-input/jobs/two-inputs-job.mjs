import { defineJob, generatorSource, mapState, TumblingEventTimeWindows, WatermarkStrategy } from 'millrace'

const limits = mapState({ name: 'limits' })

/** Orders and payments, all times i; parameters: count, rate. */
export default defineJob('two-inputs', (env) => {
  const { parameters } = env
  const numbers = (name) =>
    env
      .fromSource(
        generatorSource({
          count: parameters.getNumber('count', 1_000),
          generate: (i) => ({ name, i, key: `key ${i % 11}` }),
          ...(parameters.has('rate') ? { ratePerSecond: parameters.getNumber('rate') } : {}),
        }),
        WatermarkStrategy.forBoundedOutOfOrderness(50).withTimestampAssigner(({ i }) => i),
      )
      .uid(name)
  const orders = numbers('orders')
  const payments = numbers('payments')
  orders
    .keyBy('key')
    .intervalJoin(payments.keyBy('key'))
    .between(-22, 22)
    .lowerBoundExclusive()
    .process({ processElement: (l, r, ctx, out) => out.collect([l.i, r.i, ctx.timestamp]) })
    .uid('near')
    .collect('near')
    .uid('collect-near')
  orders
    .coGroup(payments)
    .where('key')
    .equalTo('key')
    .window(TumblingEventTimeWindows.of(100))
    .apply((l, r, out) => out.collect([l[0].key, Math.floor(l[0].i / 100), l.length, r.length]))
    .uid('groups')
    .collect('groups')
    .uid('collect-groups')
  orders
    .keyBy('key')
    .connect(payments.broadcast(limits))
    .process({
      processElement(_order, { timerService }) {
        timerService.registerEventTimeTimer(1_000_000)
      },
      processBroadcastElement({ key, i }, ctx) {
        const state = ctx.getBroadcastState(limits)
        state.put(key, (state.get(key) ?? 0) + i)
      },
      onTimer: (_time, ctx, out) => out.collect([ctx.currentKey, Object.fromEntries(ctx.getBroadcastState(limits).entries())]),
    })
    .uid('limits')
    .collect('limits')
    .uid('collect-limits')
})
