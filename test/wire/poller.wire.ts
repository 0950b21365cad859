import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { MergeShardsCommand, PutRecordCommand, SplitShardCommand } from '@aws-sdk/client-kinesis'
import { type EventSourceMappingConfiguration, InvokeCommand, LambdaClient, ListEventSourceMappingsCommand } from '@aws-sdk/client-lambda'
import { type AwsClientStub, mockClient } from 'aws-sdk-client-mock'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KinesisEvent } from '../../functions/stage-event.js'
import { Poller } from '../../local-aws/poller.js'
import { PositionFile } from '../../local-aws/position-file.js'
import { awsClients } from '../../runtime/backends/aws/index.js'
import { createStream, servers, streamActive } from './wire.js'

/** kinesalite does not answer who asks for an iterator at a time behind which there is no record: they ask again, with the usual time-out after 15 s. */
const { kinesis } = awsClients({ endpoints: { kinesis: servers.kinesis }, timeoutMs: 3_000 })
const ARN = 'arn:aws:kinesis:eu-central-1:000000000000:stream/'
const FUNCTION = 'arn:aws:lambda:eu-central-1:000000000000:function:count'
const UPPER_HALF = String(1n << 127n)
const shardId = (index: number) => `shardId-${String(index).padStart(12, '0')}`

interface Delivery {
  readonly qualifier: string | undefined
  readonly shard: string
  readonly texts: readonly string[]
}

let lambda: LambdaClient
let mock: AwsClientStub<LambdaClient>
let mappings: EventSourceMappingConfiguration[]
let deliveries: Delivery[]
/** What the function answers; it may throw. */
let answer: (event: KinesisEvent) => unknown
let stream: string
let poller: Poller

beforeEach(async () => {
  lambda = new LambdaClient({ region: 'eu-central-1' })
  mock = mockClient(lambda)
  mappings = []
  deliveries = []
  answer = () => null
  mock.on(ListEventSourceMappingsCommand).callsFake(() => ({ EventSourceMappings: structuredClone(mappings) }))
  mock.on(InvokeCommand).callsFake(async ({ Qualifier, Payload }: { Qualifier?: string; Payload: string }) => {
    const event = JSON.parse(Payload) as KinesisEvent
    const shard = event.Records[0].eventID.split(':')[0]
    deliveries.push({ qualifier: Qualifier, shard, texts: event.Records.map((r) => Buffer.from(r.kinesis.data, 'base64').toString()) })
    try {
      return { Payload: Buffer.from(JSON.stringify(answer(event) ?? null)) }
    } catch (error) {
      return { FunctionError: 'Unhandled', Payload: Buffer.from(String(error)) }
    }
  })
  stream = await createStream(kinesis, 1)
  poller = newPoller()
  poller.start()
})
afterEach(() => poller.stop())

function newPoller(file?: string): Poller {
  return new Poller({ kinesis, lambda, pollMs: 20, log: () => {} }, new PositionFile(file))
}

function mapping(options: Partial<EventSourceMappingConfiguration> = {}): EventSourceMappingConfiguration {
  const mapping = { UUID: 'one', EventSourceArn: `${ARN}${stream}`, FunctionArn: `${FUNCTION}:1`, State: 'Enabled', StartingPosition: 'TRIM_HORIZON' }
  return { ...mapping, BatchSize: 3, FunctionResponseTypes: ['ReportBatchItemFailures'], ...options } as EventSourceMappingConfiguration
}

async function put(...texts: readonly string[]): Promise<void> {
  for (const text of texts) await putTo('0', text)
}

async function putTo(ExplicitHashKey: string, text: string): Promise<void> {
  await kinesis.send(new PutRecordCommand({ StreamName: stream, Data: Buffer.from(text), PartitionKey: 'p', ExplicitHashKey }))
}

const texts = () => deliveries.flatMap((delivery) => delivery.texts)

async function delivered(count: number): Promise<void> {
  await expect.poll(() => texts().length, { timeout: 60_000, interval: 20 }).toBeGreaterThanOrEqual(count)
}

/** Longer than it takes to deliver what is there. */
const aWhile = () => pause(300)

describe('the poller of local-aws', () => {
  it('delivers a shard in its order, in batches as the mapping says', async () => {
    mappings = [mapping()]
    await put('a', 'b', 'c', 'd')
    await delivered(4)
    await aWhile()
    expect(texts()).toEqual(['a', 'b', 'c', 'd'])
    for (const { texts } of deliveries) expect(texts.length).toBeLessThanOrEqual(3)
    expect(deliveries.every(({ qualifier }) => qualifier === '1')).toBe(true)
  })

  it('delivers again from the first record that the function reports, and all of a batch that throws', async () => {
    let refusals = 0
    answer = ({ Records }) => {
      const refused = Records.find((r) => Buffer.from(r.kinesis.data, 'base64').toString() === 'b')
      if (refused === undefined || refusals++ >= 3) return { batchItemFailures: [] }
      if (refusals === 3) throw new Error('no')
      return { batchItemFailures: [{ itemIdentifier: refused.kinesis.sequenceNumber }] }
    }
    await put('a', 'b', 'c')
    mappings = [mapping()]
    await expect.poll(() => refusals, { timeout: 20_000 }).toBe(4)
    await aWhile()
    expect(deliveries.map(({ texts }) => texts.join(''))).toEqual(['abc', 'bc', 'bc', 'bc'])
  })

  it('reads parents to their end before their children, through a split and a merge', async () => {
    mappings = [mapping()]
    await put('a1', 'a2')
    await kinesis.send(new SplitShardCommand({ StreamName: stream, ShardToSplit: shardId(0), NewStartingHashKey: UPPER_HALF }))
    await streamActive(kinesis, stream)
    let holds = true
    answer = ({ Records }) => {
      if (holds && Records[0].eventID.startsWith(shardId(1))) throw new Error('not yet')
    }
    await putTo('0', 'b1')
    await putTo(UPPER_HALF, 'c1')
    await kinesis.send(new MergeShardsCommand({ StreamName: stream, ShardToMerge: shardId(1), AdjacentShardToMerge: shardId(2) }))
    await streamActive(kinesis, stream)
    await putTo('0', 'd1')
    await expect.poll(() => texts(), { timeout: 20_000 }).toContain('c1')
    await aWhile()
    // One of its parents is not read to its end.
    expect(texts()).not.toContain('d1')
    holds = false
    await expect.poll(() => texts(), { timeout: 20_000 }).toContain('d1')
    const first = (text: string) => texts().indexOf(text)
    expect(first('a2')).toBeLessThan(first('b1'))
    expect(first('a2')).toBeLessThan(first('c1'))
    expect(texts().lastIndexOf('b1')).toBeLessThan(first('d1'))
  })

  it('goes on where it is when a mapping is pointed elsewhere, disabled and enabled, and begins anew when it is made anew', async () => {
    mappings = [mapping()]
    await put('a')
    await delivered(1)
    mappings = [mapping({ State: 'Disabled' })]
    await expect.poll(() => poller.status.one.enabled, { timeout: 20_000, interval: 20 }).toBe(false)
    await put('b')
    await aWhile()
    expect(texts()).toEqual(['a'])
    mappings = [mapping({ FunctionArn: `${FUNCTION}:attempt-2` })]
    await delivered(2)
    expect(deliveries.map(({ qualifier, texts }) => `${qualifier} ${texts}`)).toEqual(['1 a', 'attempt-2 b'])
    mappings = [mapping({ UUID: 'two', FunctionArn: `${FUNCTION}:attempt-3` })]
    await delivered(4)
    expect(texts()).toEqual(['a', 'b', 'a', 'b'])
  })

  it('takes over another batch size without reading anything twice', async () => {
    mappings = [mapping({ BatchSize: 1 })]
    await put('a', 'b')
    await delivered(2)
    mappings = [mapping({ BatchSize: 2 })]
    await aWhile()
    await put('c')
    await delivered(3)
    await aWhile()
    expect(texts()).toEqual(['a', 'b', 'c'])
  })

  it('begins at a time, and with what comes from now on', async () => {
    await put('old')
    await pause(50)
    const at = new Date()
    await pause(50)
    await put('a')
    mappings = [mapping({ StartingPosition: 'AT_TIMESTAMP', StartingPositionTimestamp: at })]
    await delivered(1)
    mappings.push(mapping({ UUID: 'latest', StartingPosition: 'LATEST', FunctionArn: `${FUNCTION}:latest` }))
    // From then on it is "from now on".
    await expect.poll(() => poller.status.latest, { timeout: 20_000, interval: 20 }).toBeDefined()
    await put('b')
    await delivered(3)
    await aWhile()
    expect(texts().sort()).toEqual(['a', 'b', 'b'])
    expect(deliveries.filter(({ qualifier }) => qualifier === 'latest').flatMap((delivery) => delivery.texts)).toEqual(['b'])
  })

  it('goes on behind what was acknowledged when the process is another', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-poller-'))
    try {
      const file = join(folder, 'positions.json')
      await poller.stop()
      poller = newPoller(file)
      poller.start()
      mappings = [mapping()]
      await put('a', 'b')
      await delivered(2)
      await poller.stop()
      await put('c')
      poller = newPoller(file)
      poller.start()
      await delivered(3)
      await aWhile()
      expect(texts()).toEqual(['a', 'b', 'c'])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('delivers twice, otherwise and in vain when it is told to, and loses nothing', async () => {
    poller.setFaults({ duplicate: 0.5, splitRetry: 0.5, loseAnswer: 0.3, failInvocation: 0.2, reDeliverOld: 0.1 })
    mappings = [mapping()]
    const all = Array.from({ length: 40 }, (_, i) => `r${String(i).padStart(2, '0')}`)
    await put(...all)
    await expect.poll(() => new Set(texts()).size, { timeout: 60_000 }).toBe(all.length)
    expect(texts().length).toBeGreaterThan(all.length)
    // In order, but for what it goes back.
    const firsts = texts().filter((text, at) => texts().indexOf(text) === at)
    expect(firsts).toEqual(all)
  })
})
