import { describe, expect, it } from 'vitest'
import { CountingBlobStore, CountingCommitLog, CountingPokes, countingChannel } from '../../cost/counting-ports.js'
import { Meter } from '../../cost/meter.js'
import { MemoryStreams } from '../../runtime/backends/memory/index.js'

const LOG = 'job/1/stage/0'
/** pk, sk and payload with their names: what an item weighs without its payload, and without expiry. */
const ITEM_BYTES = 2 + LOG.length + 2 + 17 + 7

describe('counting ports', () => {
  it('count writes by the KB of the whole item, whoever wins', async () => {
    const meter = new Meter()
    const log = new CountingCommitLog(meter, () => 0)
    await log.append(LOG, { version: 1, payload: new Uint8Array(1_024 - ITEM_BYTES) })
    expect(meter.total).toMatchObject({ dynamoPuts: 1, dynamoWriteUnits: 1, dynamoWrittenBytes: 1_024 })
    expect(await log.append(LOG, { version: 1, payload: new Uint8Array(1_025 - ITEM_BYTES) })).toBe('lost')
    expect(meter.total).toMatchObject({ dynamoPuts: 2, dynamoWriteUnits: 3 })
  })

  it('count queries by 4 KB of what they find, and one for nothing', async () => {
    const meter = new Meter()
    const log = new CountingCommitLog(meter, () => 0)
    expect(await log.read(LOG, 0)).toEqual({ items: [], control: undefined })
    expect(meter.total).toMatchObject({ dynamoQueries: 1, dynamoReadUnits: 1 })
    for (const version of [1, 2, 3]) await log.append(LOG, { version, payload: new Uint8Array(4_000) })
    await log.read(LOG, 0)
    expect(meter.total.dynamoReadUnits).toBe(1 + 3)
    await log.head(LOG)
    expect(meter.total).toMatchObject({ dynamoQueries: 3, dynamoReadUnits: 1 + 3 + 1 })
  })

  it('count objects and their bytes', async () => {
    const meter = new Meter()
    const blobs = new CountingBlobStore(meter, 's3PartBytes')
    await blobs.put('a', new Uint8Array(9_000))
    expect(await blobs.put('a', new Uint8Array(1))).toBe('exists')
    await blobs.get('a')
    await blobs.list('')
    expect(meter.total).toMatchObject({ s3Puts: 2, s3PartBytes: 9_001, s3Gets: 1, s3Lists: 1 })
  })

  it('count a request for what one request takes: a record a shard', async () => {
    const meter = new Meter()
    const streams = new MemoryStreams()
    const channel = countingChannel(meter, streams.createForStage('s', 2), 2, () => 5)
    const entry = (to: number, bytes: number) => ({ to, bytes: new Uint8Array(bytes) })
    expect(await channel.send([entry(0, 10), entry(1, 30_000), entry(0, 10)])).toEqual([])
    expect(meter.total).toMatchObject({ kinesisPutRecords: 2, kinesisRecords: 3, kinesisPutUnits: 1 + 2 + 1, kinesisBytes: 30_023 })
    expect(streams.stream('s').records('0')).toHaveLength(2)
  })

  it('count a message for each poke', async () => {
    const meter = new Meter()
    const pokes = new CountingPokes(meter)
    await pokes.poke({ stage: 's', subtask: '0' }, 1)
    expect([meter.total.sqsRequests, pokes.size]).toEqual([1, 1])
  })

  it('count what an invocation waits for one after the other, by function', async () => {
    const meter = new Meter()
    const blobs = new CountingBlobStore(meter, 's3PartBytes')
    await meter.invoke('a', async () => {
      await Promise.all([blobs.put('x', new Uint8Array(1)), blobs.put('y', new Uint8Array(1))])
      await blobs.get('x')
    })
    await meter.invoke('b', () => blobs.get('y'))
    expect(meter.invocations.map(({ function: name, calls }) => [name, calls])).toEqual([
      ['a', 2],
      ['b', 1],
    ])
    expect(meter.of('a')).toMatchObject({ lambdaRequests: 1, s3Puts: 2, s3Gets: 1 })
    expect(meter.of('b')).toMatchObject({ lambdaRequests: 1, s3Puts: 0, s3Gets: 1 })
  })
})
