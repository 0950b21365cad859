import { BatchWriteItemCommand, DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { mockClient } from 'aws-sdk-client-mock'
import { type DynamoDbSinkOptions, dynamoDbSink, type SinkMarker, type SinkWriterContext } from 'millrace'
import { harnessRuntimeContext, SinkHarness } from 'millrace/testing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { attributesOf, sizeOf } from '../../runtime/connectors/dynamodb/attribute-value.js'

process.env.AWS_REGION = 'eu-central-1'

interface Count {
  readonly ip: string
  readonly count: number
}

const dynamo = mockClient(DynamoDBClient)
/** Stored items by key, and what every put was. */
let items: Map<string, { count: string; w: string; a: number; v: number }>
let puts: number

const named = (name: string) => Object.assign(new Error(name), { name })

beforeEach(() => {
  items = new Map()
  puts = 0
  dynamo.on(PutItemCommand).callsFake(putItem)
})
afterEach(() => dynamo.reset())

/** A table as far as the sink's two conditions need one. */
// biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
function putItem({ Item, ConditionExpression, ExpressionAttributeValues, TableName }: any): object {
  if (TableName !== 'counts') throw named('ResourceNotFoundException')
  puts++
  const stored = items.get(Item.ip.S)
  const [w, a, v] = [ExpressionAttributeValues[':w'].S, Number(ExpressionAttributeValues[':a'].N), Number(ExpressionAttributeValues[':v'].N)]
  const byWriter = 'attribute_not_exists(#m) OR #m.a < :a OR (#m.a = :a AND (#m.w <> :w OR #m.v < :v))'
  const byCheckpoint = 'attribute_not_exists(#m) OR #m.a < :a OR (#m.a = :a AND (#m.v < :v OR (#m.v = :v AND #m.w <> :w)))'
  if (![byWriter, byCheckpoint].includes(ConditionExpression)) throw new Error('a put without its condition')
  const later =
    stored !== undefined && (ConditionExpression === byWriter ? stored.w !== w || stored.v < v : stored.v < v || (stored.v === v && stored.w !== w))
  if (stored !== undefined && !(stored.a < a || (stored.a === a && later))) throw named('ConditionalCheckFailedException')
  items.set(Item.ip.S, { count: Item.count.N, w, a, v })
  return {}
}

const sinkOf = (options: Partial<DynamoDbSinkOptions<Count>> = {}) => dynamoDbSink<Count>({ table: 'counts', key: ['ip'], ...options })

const context = {
  subtaskIndex: 0,
  parallelism: 1,
  runtime: harnessRuntimeContext({ name: 'out', subtaskIndex: 0, parallelism: 1 }),
  restoredCheckpointId: 0,
  now: () => 0,
  emitToClient: () => {},
} satisfies SinkWriterContext

const records = (...counts: readonly (readonly [string, number])[]) =>
  counts.map(([ip, count]) => ({ value: { ip, count }, timestamp: null, currentWatermark: 0 }))
const marker = (attempt: number, version: number, writer = 'job/out/0'): SinkMarker => ({ writer, attempt, version })
const transactorOf = (options: Partial<DynamoDbSinkOptions<Count>> = {}) => {
  const transactor = sinkOf(options).createTransactor?.(context)
  if (transactor === undefined) throw new Error('it has a transactor')
  return transactor
}
const stored = () => Object.fromEntries([...items].map(([ip, { count }]) => [ip, Number(count)]))

describe('a DynamoDB sink on AWS', () => {
  it('puts the last item of each key of a commit, and nothing when the commit comes again', async () => {
    const transactor = transactorOf()
    await transactor.apply(marker(1, 5), records(['a', 1], ['b', 1], ['a', 2]))
    expect(stored()).toEqual({ a: 2, b: 1 })
    expect(puts).toBe(2)
    await transactor.apply(marker(1, 6), records(['a', 3]))
    await transactor.apply(marker(1, 5), records(['a', 1], ['b', 1], ['a', 2]))
    expect(stored()).toEqual({ a: 3, b: 1 })
  })

  it('an instance that is late, of this attempt or a former one, replaces nothing newer', async () => {
    const transactor = transactorOf()
    await transactor.apply(marker(2, 1), records(['a', 9]))
    await transactor.apply(marker(1, 50), records(['a', 1], ['b', 1]))
    expect(stored()).toEqual({ a: 9, b: 1 })
    // What the former attempt wrote is replaced by the new one, whose versions begin anew.
    await transactor.apply(marker(2, 2), records(['b', 2]))
    expect(stored()).toEqual({ a: 9, b: 2 })
  })

  it('replaces what another subtask wrote in the same attempt, whose versions say nothing', async () => {
    const transactor = transactorOf()
    await transactor.apply(marker(1, 50, 'job/out/1'), records(['a', 1]))
    await transactor.apply(marker(1, 5), records(['a', 2]))
    expect(stored()).toEqual({ a: 2 })
  })

  it('with onCheckpoint compares checkpoints, whoever wrote in them', async () => {
    const transactor = transactorOf({ delivery: 'onCheckpoint' })
    await transactor.apply(marker(0, 7, 'job/out/1@1'), records(['a', 7]))
    await transactor.apply(marker(0, 6, 'job/out/0@1'), records(['a', 6]))
    expect(stored()).toEqual({ a: 7 })
    await transactor.apply(marker(0, 3, 'job/out/0@2'), records(['a', 8]))
    expect(stored()).toEqual({ a: 8 })
  })

  it('makes up for a delivery that broke off in the middle', async () => {
    const transactor = transactorOf()
    const many = records(...Array.from({ length: 100 }, (_, i) => [`ip${i}`, i] as const))
    dynamo.on(PutItemCommand).callsFake((input) => {
      if (puts === 40) throw named('AccessDeniedException')
      return putItem(input)
    })
    await expect(transactor.apply(marker(1, 1), many)).rejects.toMatchObject({
      code: 'AWS_CALL',
      message: expect.stringMatching(/PutItem failed with AccessDeniedException.*table "counts", item \[\{"S":"ip\d+"\}\].*Allow dynamodb:PutItem/s),
    })
    expect(items.size).toBeLessThan(100)
    dynamo.on(PutItemCommand).callsFake(putItem)
    await transactor.apply(marker(1, 1), many)
    expect(items.size).toBe(100)
  })

  it('waits out throttling', async () => {
    let refused = 0
    dynamo.on(PutItemCommand).callsFake((input) => {
      if (refused++ < 2) throw named('ProvisionedThroughputExceededException')
      return putItem(input)
    })
    await transactorOf().apply(marker(1, 1), records(['a', 1]))
    expect(stored()).toEqual({ a: 1 })
    expect(refused).toBe(3)
  })

  it('says which table and item DynamoDB does not take', async () => {
    dynamo.on(PutItemCommand).rejects(named('ValidationException'))
    await expect(transactorOf().apply(marker(1, 1), records(['a', 1]))).rejects.toThrow(/ValidationException.*item \[\{"S":"a"\}\].*400 KB/s)
  })
})

describe('a DynamoDB sink in one process', () => {
  it('writes as it goes, 25 items a request, and again what the table gave back', async () => {
    const written = new Map<string, string>()
    const sizes: number[] = []
    let givenBack = 0
    dynamo.on(BatchWriteItemCommand).callsFake(({ RequestItems }) => {
      const [first, ...rest] = RequestItems.counts
      sizes.push(RequestItems.counts.length)
      // The first one at first has no room.
      const back = givenBack++ < 1
      for (const { PutRequest } of back ? rest : [first, ...rest]) written.set(PutRequest.Item.ip.S, PutRequest.Item.count.N)
      return back ? { UnprocessedItems: { counts: [first] } } : {}
    })
    const sink = await SinkHarness.open(sinkOf())
    for (let i = 0; i < 60; i++) sink.write({ ip: `ip${i % 30}`, count: i })
    await sink.checkpoint(1)
    expect(Object.fromEntries(written)).toEqual(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`ip${i}`, String(i + 30)])))
    expect(Math.max(...sizes)).toBe(25)
    expect(sizes.reduce((sum, size) => sum + size)).toBe(31)
    await sink.close()
  })

  it('tells a failure at the next value or checkpoint', async () => {
    dynamo.on(BatchWriteItemCommand).rejects(named('ResourceNotFoundException'))
    const sink = await SinkHarness.open(sinkOf())
    sink.write({ ip: 'a', count: 1 })
    await expect(sink.checkpoint(1)).rejects.toMatchObject({ code: 'AWS_CALL', message: expect.stringContaining('--bind') })
    sink.write({ ip: 'a', count: 1 })
    await vi.waitFor(() => expect(() => sink.write({ ip: 'a', count: 1 })).toThrow(/BatchWriteItem failed/))
  })
})

describe('the size of an item', () => {
  it('is that of its names and values', () => {
    const item = { s: 'äb', n: 12.5, b: new Uint8Array(7), t: true, none: null, list: ['xy', 1], map: { k: 'v' }, set: new Set(['a', 'bc']) }
    expect(sizeOf(attributesOf(item))).toBe(1 + 3 + (1 + 4) + (1 + 7) + (1 + 1) + (4 + 1) + (4 + 3) + (3 + 2) + (3 + 3))
    expect(sizeOf(attributesOf({ n: new Set([1, 20n]) }))).toBe(1 + 3)
  })
})

describe('options and items', () => {
  it.each([
    [{ table: '' }, 'no table'],
    [{ key: [] as never }, 'one or two'],
    [{ key: ['ip', ''] as never }, 'one or two'],
    [{ markerAttribute: 'ip' }, 'part of the key'],
    [{ delivery: 'never' as never }, 'delivery is never'],
  ] as const)('refuses %j', (options, what) => {
    expect(() => sinkOf(options)).toThrow(new RegExp(`OPTION_INVALID.*${what}`))
  })

  it('refuses items without their key and values that DynamoDB cannot hold, with the path', async () => {
    const apply = (item: Record<string, unknown>) => transactorOf({ item: () => item }).apply(marker(1, 1), records(['a', 1]))
    await expect(apply({ count: 1 })).rejects.toThrow(/no "ip" that can be part of a key/)
    await expect(apply({ ip: true })).rejects.toThrow(/no "ip" that can be part of a key/)
    await expect(apply({ ip: 'a', list: [1, { at: new Date() }] })).rejects.toThrow(/the item\.list\[1\]\.at: it is a Date/)
    await expect(apply({ ip: 'a', ratio: Number.NaN })).rejects.toThrow(/the item\.ratio: it is NaN/)
    await expect(apply({ ip: 'a', tags: new Set() })).rejects.toThrow(/a set that is empty/)
  })

  it('an undefined item is not written', async () => {
    await transactorOf({ item: ({ ip, count }) => (count > 1 ? { ip, count } : undefined) }).apply(marker(1, 1), records(['a', 1], ['b', 2]))
    expect(stored()).toEqual({ b: 2 })
  })
})
