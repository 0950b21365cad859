/**
 * What examples take for granted, by name: in all files, and where a name means something else in one file, there. A declaration is
 * put before an example only if the example (or a declaration before it) uses its name. `m` is the module `millrace`.
 */
export const SURROUNDINGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  everywhere: {
    env: 'declare const env: m.StreamExecutionEnvironment',
    job: 'declare const job: m.Job',
    handle: 'declare const handle: m.JobHandle',
    path: 'declare const path: string',
    Access: 'interface Access { readonly client: string; readonly timestampMs: number }',
    Enriched: 'interface Enriched { readonly id: string; readonly customer: unknown }',
    Click: 'interface Click { readonly user: string; readonly page: string }',
    Order: 'interface Order { readonly id: string; readonly user: string; readonly item: string; readonly customer: string }',
    Reading: 'interface Reading { readonly sensor: string; readonly kind: string; readonly value: number }',
    accesses: 'declare const accesses: m.DataStream<Access>',
    alarms: 'declare const alarms: m.DataStream<{ readonly text: string }>',
    auctions: 'declare const auctions: m.DataStream<{ readonly seller: number; readonly item: string }>',
    clicks: 'declare const clicks: m.DataStream<Click>',
    counts: 'declare const counts: m.DataStream<{ readonly user: string; readonly n: number }>',
    limits: 'declare const limits: m.DataStream<{ readonly kind: string; readonly most: number }>',
    logins: 'declare const logins: m.DataStream<{ readonly user: string }>',
    orders: 'declare const orders: m.DataStream<Order>',
    payments: 'declare const payments: m.DataStream<{ readonly order: string }>',
    persons: 'declare const persons: m.DataStream<{ readonly id: number; readonly name: string }>',
    readings: 'declare const readings: m.DataStream<Reading>',
    parseAccess: 'declare function parseAccess(line: string): Access | undefined',
    priceOf: 'declare function priceOf(item: string): Promise<number>',
    source: 'declare const source: m.Source<string, m.FileSplit, m.FileEnumeratorState>',
    sink: 'declare const sink: m.Sink<string, m.FileCommittable>',
  },
  'runtime/testing/event-source-mapping.ts': {
    data: 'declare const data: Uint8Array',
    handler: "declare const handler: import('millrace/testing').MappedFunction",
    stream: "declare const stream: import('millrace/testing').RecordLists & { put(splitId: string, data: Uint8Array): void }",
    world: "declare const world: import('millrace/testing').MappingWorld",
  },
  'runtime/testing/function-instances.ts': {
    Handler: "declare class Handler { readonly invoke: import('millrace/testing').MappedFunction }",
    stream: "declare const stream: import('millrace/testing').MappedStream",
    world: "declare const world: import('millrace/testing').MappingWorld",
  },
  'runtime/testing/operator-harness.ts': {
    Click: 'interface Click { readonly user: string }',
    Order: 'interface Order { readonly currency: string; readonly amount: number }',
    Rate: 'interface Rate { readonly currency: string; readonly rate: number }',
    Sessions: 'declare const Sessions: new () => m.KeyedProcessFunction<string, Click, string>',
    Convert: 'declare const Convert: new () => m.CoProcessFunction<Order, Rate, number>',
  },
}
