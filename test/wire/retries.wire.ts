import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { awsClients, DynamoDbCommitLog, S3BlobStore } from '../../runtime/backends/aws/index.js'
import { FaultProxy, firstOf, type Intercept, jsonError, xmlError } from './fault-proxy.js'
import { createBucket, createTable, servers } from './wire.js'

const ATTEMPTS = 5
const failing =
  (status: number, name: string): Intercept =>
  () =>
    jsonError(status, name)
const done: Intercept = async (request, forward) => {
  await forward(request)
  return 'cut' as const
}
const silent: Intercept = () => 'silence'
const bytes = (...values: number[]) => Uint8Array.from(values)

let proxy: FaultProxy

afterEach(() => proxy.close())

describe('a commit log whose calls fail', () => {
  let direct: DynamoDBClient
  let log: DynamoDbCommitLog

  beforeEach(async () => {
    proxy = await FaultProxy.open(servers.dynamodb)
    direct = awsClients({ endpoints: { dynamo: servers.dynamodb } }).dynamo
    log = new DynamoDbCommitLog(awsClients({ endpoints: { dynamo: proxy.url } }).dynamo, await createTable(direct))
  })

  it('tries again when it is throttled, in all three ways that DynamoDB has', async () => {
    proxy.intercept = firstOf('PutItem', failing(400, 'ProvisionedThroughputExceededException'), failing(400, 'ThrottlingException'))
    expect(await log.append('l', { version: 1, payload: bytes(1) })).toBe('won')
    expect(proxy.count('PutItem')).toBe(3)
    proxy.intercept = firstOf('Query', failing(400, 'RequestLimitExceeded'))
    expect((await log.read('l', 0)).items).toHaveLength(1)
  })

  it('tries again when the service fails or the connection breaks, and gives up in the end', async () => {
    proxy.intercept = firstOf('PutItem', failing(500, 'InternalServerError'), () => 'cut', failing(503, 'ServiceUnavailable'))
    expect(await log.append('l', { version: 1, payload: bytes(1) })).toBe('won')
    expect(proxy.count('PutItem')).toBe(4)
    proxy.requests.length = 0
    proxy.intercept = failing(500, 'InternalServerError')
    await expect(log.append('l', { version: 2, payload: bytes(2) })).rejects.toMatchObject({ code: 'AWS_CALL', retryable: true })
    expect(proxy.count('PutItem')).toBe(ATTEMPTS)
  })

  it('does not wait for ever for an answer', async () => {
    const impatient = new DynamoDbCommitLog(awsClients({ endpoints: { dynamo: proxy.url }, timeoutMs: 500 }).dynamo, log.table)
    proxy.intercept = firstOf('PutItem', silent)
    expect(await impatient.append('l', { version: 1, payload: bytes(1) })).toBe('won')
    proxy.intercept = firstOf('Query', silent, silent)
    expect((await impatient.head('l')).item?.version).toBe(1)
  })

  it('loses to itself when a put was done but its answer lost', async () => {
    proxy.intercept = firstOf('PutItem', done)
    expect(await log.append('l', { version: 1, payload: bytes(7) })).toBe('lost')
    expect((await log.read('l', 0)).items).toEqual([{ version: 1, payload: bytes(7) }])
    proxy.intercept = firstOf('PutItem', done)
    expect(await log.putControl('l', { serial: 1, payload: bytes(8) })).toBe('lost')
    expect((await log.head('l')).control).toEqual({ serial: 1, payload: bytes(8) })
  })

  it('does not try again what can never be', async () => {
    proxy.intercept = failing(400, 'AccessDeniedException')
    const refused = expect(log.append('l', { version: 1, payload: bytes(1) })).rejects
    await refused.toMatchObject({ code: 'AWS_CALL', message: expect.stringContaining("Grant it to the function's role") })
    expect(proxy.count('PutItem')).toBe(1)
  })

  it('takes a page that was cut off for one that has to be read again', async () => {
    for (let version = 1; version <= 3; version++) await log.append('l', { version, payload: new Uint8Array(10_000) })
    proxy.intercept = firstOf('Query', async (request, forward) => ({ ...(await forward(request)), cutAt: 20_000 }))
    expect((await log.read('l', 0)).items.map(({ payload }) => payload.length)).toEqual([10_000, 10_000, 10_000])
  })
})

describe('a blob store whose calls fail', () => {
  let store: S3BlobStore
  const blob = new Uint8Array(300_000).map((_, i) => i)

  beforeEach(async () => {
    proxy = await FaultProxy.open(servers.ministack)
    const { s3 } = awsClients({ endpoints: { s3: proxy.url }, timeoutMs: 1_000 })
    store = new S3BlobStore(s3, await createBucket(s3))
  })

  it('tries again when it is slowed down', async () => {
    proxy.intercept = firstOf('PUT', () => xmlError(503, 'SlowDown'))
    expect(await store.put('a', blob)).toBe('stored')
    proxy.intercept = firstOf(
      'GET',
      () => xmlError(503, 'SlowDown'),
      () => xmlError(500, 'InternalError'),
    )
    expect(await store.get('a')).toEqual(blob)
  })

  it('tries again when S3 cannot decide between two that put the same name', async () => {
    proxy.intercept = firstOf(
      'PUT',
      () => xmlError(409, 'ConditionalRequestConflict'),
      () => xmlError(409, 'ConditionalRequestConflict'),
    )
    expect(await store.put('a', blob)).toBe('stored')
    expect(await store.put('a', blob)).toBe('exists')
    proxy.intercept = () => xmlError(409, 'ConditionalRequestConflict')
    await expect(store.put('b', blob)).rejects.toMatchObject({ code: 'AWS_CALL', message: expect.stringContaining('ConditionalRequestConflict') })
  })

  it('says that a name exists when it was stored but the answer lost, and its bytes are whole', async () => {
    proxy.intercept = firstOf('PUT', done)
    expect(await store.put('a', blob)).toBe('exists')
    expect(await store.get('a')).toEqual(blob)
  })

  it('never gives part of a blob: one that breaks off, or stands still, is read again', async () => {
    await store.put('a', blob)
    const cut: Intercept = async (request, forward) => ({ ...(await forward(request)), cutAt: 100_000 })
    proxy.intercept = firstOf('GET', cut)
    expect(await store.get('a')).toEqual(blob)
    const stalled: Intercept = async (request, forward) => ({ ...(await forward(request)), stallAt: 100_000 })
    proxy.intercept = firstOf('GET', stalled)
    expect(await store.get('a')).toEqual(blob)
    proxy.intercept = cut
    await expect(store.get('a')).rejects.toMatchObject({ code: 'AWS_CALL' })
  })

  it('leaves it to the SDK to try again when there is no answer, and then gives up', async () => {
    proxy.intercept = () => 'cut'
    await expect(store.get('a')).rejects.toMatchObject({ code: 'AWS_CALL', retryable: true })
    expect(proxy.count('GET')).toBe(ATTEMPTS)
    await expect(store.list('')).rejects.toMatchObject({ code: 'AWS_CALL' })
  })

  it('finds out that bytes were changed on the way', async () => {
    await store.put('a', blob)
    const changed: Intercept = async (request, forward) => {
      const answer = await forward(request)
      const body = Buffer.from(answer.body)
      if (body.length === blob.length) body[7] ^= 1
      return { ...answer, body }
    }
    proxy.intercept = firstOf('GET', changed)
    expect(await store.get('a')).toEqual(blob)
  })
})
