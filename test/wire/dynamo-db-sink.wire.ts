import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateTableCommand, DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb'
import { defineJob, dynamoDbSink, generatorSource, run, type Sink, WatermarkStrategy } from 'millrace'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import ipCount from '../../examples/ip-count/job.js'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { exampleFile } from '../examples/run-example.js'
import { jsonStream, Stages, StageWorld } from '../task/stage-world.js'
import { servers, uniqueName } from './wire.js'

let dynamo: DynamoDBClient
let table: string

beforeAll(() => {
  process.env.AWS_ENDPOINT_URL_DYNAMODB = servers.dynamodb
  dynamo = new DynamoDBClient({})
})
afterAll(() => dynamo.destroy())
beforeEach(async () => {
  table = await createTable('key', 'S')
})

async function createTable(partitionKey: string, type: 'S' | 'N', sortKey?: string): Promise<string> {
  const TableName = uniqueName('items')
  const sort = sortKey === undefined ? [] : [{ AttributeName: sortKey, KeyType: 'RANGE' as const }]
  await dynamo.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: partitionKey, KeyType: 'HASH' }, ...sort],
      AttributeDefinitions: [
        { AttributeName: partitionKey, AttributeType: type },
        ...sort.map(({ AttributeName }) => ({ AttributeName, AttributeType: 'N' as const })),
      ],
    }),
  )
  return TableName
}

/** All items of the table, as the protocol has them. */
async function items(of = table): Promise<Record<string, Record<string, unknown>>[]> {
  const { Items = [] } = await dynamo.send(new ScanCommand({ TableName: of, ConsistentRead: true }))
  return Items as unknown as Record<string, Record<string, unknown>>[]
}

async function counts(): Promise<Record<string, number>> {
  return Object.fromEntries((await items()).map(({ key, count }) => [key.S, Number(count.N)]))
}

interface Event {
  readonly key: string
}

/** The sink; what it is told to do fails as often as `failures` says, before or behind its effect. */
function failing(delivery: 'onCommit' | 'onCheckpoint', failures: { before: number; after: number }): Sink<unknown> {
  const sink = dynamoDbSink<{ key: string; count: number }>({ table, key: ['key'], delivery }) as Sink<unknown>
  return {
    ...sink,
    createTransactor: (context) => {
      const transactor = sink.createTransactor?.(context)
      if (transactor === undefined) throw new Error('it has one')
      return {
        fence: (writer, attempt) => transactor.fence(writer, attempt),
        close: () => transactor.close?.(),
        apply: async (marker, records) => {
          if (failures.before > 0 && failures.before--) throw new Error('it does not answer')
          await transactor.apply(marker, records)
          if (failures.after > 0 && failures.after--) throw new Error('it did it and does not answer')
        },
      }
    },
  }
}

/** Counts by key; that `total` counts a key twice would show. */
const counting = (sink: () => Sink<unknown>) => (env: StreamExecutionEnvironment) => {
  jsonStream<Event>(env, 'events')
    .map(({ key }) => ({ key, count: 1 }))
    .setParallelism(1)
    .keyBy(({ key }) => key)
    .reduce((a, b) => ({ key: a.key, count: a.count + b.count }))
    .uid('count')
    .sinkTo(sink())
    .uid('out')
}

const events = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ key: `k${(from + i) % 7}` }))
const expected = (to: number) => Object.fromEntries(Array.from({ length: 7 }, (_, k) => [`k${k}`, Math.floor((to - k + 6) / 7)]))

describe('a DynamoDB sink in stages, on a real protocol', () => {
  async function started(delivery: 'onCommit' | 'onCheckpoint', failures: { before: number; after: number }) {
    const world = new StageWorld()
    world.streams.create('events', ['s0'])
    const stages = new Stages(
      world,
      counting(() => failing(delivery, failures)),
      { parallelism: 2, batchRecords: 10 },
    )
    await stages.activate()
    return { world, stages }
  }

  it('makes up for deliveries that fail before or behind their effect, and for commits that were not delivered', async () => {
    const { stages } = await started('onCommit', { before: 3, after: 3 })
    stages.put('events', 's0', ...events(0, 50))
    await stages.comeToRest({ tries: 10 })
    expect(await counts()).toEqual(expected(50))
    stages.crash()
    stages.put('events', 's0', ...events(50, 100))
    await stages.comeToRest()
    expect(await counts()).toEqual(expected(100))
  })

  it('shows what a restored attempt makes, also where the former one had come further', async () => {
    const { stages } = await started('onCommit', { before: 0, after: 0 })
    stages.put('events', 's0', ...events(0, 30))
    await stages.comeToRest()
    const ref = await stages.checkpoint()
    stages.put('events', 's0', ...events(30, 60))
    await stages.comeToRest()
    expect(await counts()).toEqual(expected(60))
    await stages.activate({ from: ref })
    await stages.comeToRest()
    stages.put('events', 's0', ...events(60, 70))
    await stages.comeToRest()
    expect(await counts()).toEqual(expected(70))
    const attempts = new Set((await items()).map(({ _millrace }) => (_millrace.M as Record<string, { N: string }>).a.N))
    expect(attempts.size).toBe(1)
  })

  it('shows with onCheckpoint only what a checkpoint holds', async () => {
    const failures = { before: 2, after: 2 }
    const { stages } = await started('onCheckpoint', failures)
    stages.put('events', 's0', ...events(0, 30))
    await stages.comeToRest()
    expect(await counts()).toEqual({})
    await stages.checkpoint().catch(() => undefined)
    // Whoever is poked delivers what the one before him could not.
    for (let tries = 0; tries < 5; tries++) {
      for (const subtask of stages.subtasks('count')) await stages.poke('count', subtask).catch(() => stages.crash())
    }
    expect(failures).toEqual({ before: 0, after: 0 })
    expect(await counts()).toEqual(expected(30))
    stages.put('events', 's0', ...events(30, 40))
    await stages.comeToRest()
    expect(await counts()).toEqual(expected(30))
  })
})

describe('a DynamoDB sink in one process, on a real protocol', () => {
  let failed: boolean
  const numbers = (delivery: 'onCommit' | 'onCheckpoint') =>
    defineJob('numbers', (env) => {
      const fail = (n: number) => {
        if (n === 700 && !failed) {
          failed = true
          throw new Error('by chance')
        }
        return n
      }
      env
        .fromSource(generatorSource({ count: 1_000, generate: (i) => i, ratePerSecond: 2_000 }), WatermarkStrategy.noWatermarks())
        .uid('numbers')
        .map(fail)
        .keyBy((n) => n % 7)
        .map((n) => ({ key: `k${n % 7}`, count: 1 }))
        .keyBy(({ key }) => key)
        .reduce((a, b) => ({ key: a.key, count: a.count + b.count }))
        .uid('count')
        .sinkTo(dynamoDbSink({ table: 'counts', key: ['key'], delivery }))
        .uid('out')
    })

  it.each(['onCommit', 'onCheckpoint'] as const)('has every count once, through a failure and a restart (%s)', async (delivery) => {
    failed = false
    const folder = await mkdtemp(join(tmpdir(), 'millrace-dynamo-'))
    try {
      const options = { checkpointDir: folder, checkpointIntervalMs: 50, restartStrategy: { kind: 'fixed-delay', attempts: 3, delayMs: 0 } } as const
      const handle = await run(numbers(delivery), { threads: 0, parallelism: 2, bindings: { counts: table }, ...options })
      await handle.result()
      expect(failed).toBe(true)
      expect(await counts()).toEqual(Object.fromEntries(Array.from({ length: 7 }, (_, k) => [`k${k}`, k < 6 ? 143 : 142])))
      const guarded = (await items()).filter(({ _millrace }) => _millrace !== undefined).length
      expect(guarded).toBe(delivery === 'onCheckpoint' ? 7 : 0)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it("takes ip-count's windows", async () => {
    const windows = await createTable('ip', 'S', 'start')
    const parameters = ['--input', exampleFile('ip-count/access.log'), '--table', 'counts', '--malformed', join(tmpdir(), uniqueName('malformed'))]
    const handle = await run(ipCount, { threads: 0, parallelism: 2, parameters, bindings: { counts: windows } })
    await handle.result()
    const found = (await items(windows)).map(({ ip, start, end, count }) => ({
      ip: ip.S,
      start: Number(start.N),
      end: Number(end.N),
      count: Number(count.N),
    }))
    const lines = (await readFile(exampleFile('ip-count/expected.jsonl'), 'utf8')).trim().split('\n')
    expect(found.map((window) => JSON.stringify(window)).sort()).toEqual(lines.sort())
  })
})
