import { defineJob, kinesisSource, type Sink, utf8Line, WatermarkStrategy } from 'millrace'

/** Writes nothing; it only says what it would write to. */
function sink(name: string, kind: 'table' | 'stream' | 'bucket'): Sink<string> {
  return {
    name,
    resources: [{ name, kind, access: 'write' }],
    createWriter: () => ({ write: () => {}, flush: () => {}, prepareCommit: () => [], close: () => {} }),
  }
}

/** A stage in the middle that writes to five sinks of its own and to four stages behind it; and twenty stages, more than which no control function knows. */
export default defineJob('orders-of-all-shops-by-customer', (env) => {
  const orders = env
    .fromSource(kinesisSource({ stream: 'incomingOrders', deserialize: utf8Line }), WatermarkStrategy.forMonotonousTimestamps())
    .uid('incoming-orders')
    .keyBy((line) => line)
    .reduce((_, line) => line)
    .uid('orders-by-customer')
  for (const [name, kind] of [
    ['customersTable', 'table'],
    ['ordersTable', 'table'],
    ['invoicesStream', 'stream'],
    ['shipmentsStream', 'stream'],
    ['archiveBucket', 'bucket'],
  ] as const) {
    orders.sinkTo(sink(name, kind)).uid(name)
  }
  const byOthers = ['country', 'product', 'supplier', 'warehouse'].map((by) =>
    orders
      .keyBy((line) => line.slice(0, 2))
      .reduce((_, line) => line)
      .uid(`orders-by-${by}`),
  )
  let last = byOthers[0]
  for (let further = 1; further <= 14; further++) {
    last = last
      .keyBy((line) => line.slice(0, 2))
      .reduce((_, line) => line)
      .uid(`orders-by-country-${further}`)
  }
  for (const [index, stream] of [last, ...byOthers.slice(1)].entries()) stream.sinkTo(sink('othersTable', 'table')).uid(`others-${index}`)
})
