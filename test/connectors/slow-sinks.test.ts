import { setTimeout as pause } from 'node:timers/promises'
import { BatchWriteItemCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import { mockClient } from 'aws-sdk-client-mock'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { defineJob } from '../../runtime/api/index.js'
import { dynamoDbSink, kinesisSink, ndjsonFormat, s3Sink } from '../../runtime/connectors/index.js'
import { type Sink, type SinkWriter, WatermarkStrategy } from '../../runtime/core/index.js'
import { run } from '../../runtime/local/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { Gate, gatedSource } from '../local/gated-source.js'
import { expectFailure, runJob, until } from '../local/run-job.js'

process.env.AWS_REGION = 'eu-central-1'

const kinesis = mockClient(KinesisClient)
const dynamo = mockClient(DynamoDBClient)
const s3 = mockClient(S3Client)

/** Records that the sink was given and the outside has not taken. */
let held: number
let mostHeld: number

beforeEach(() => {
  held = 0
  mostHeld = 0
})
afterEach(() => {
  for (const client of [kinesis, dynamo, s3]) client.reset()
})

async function takeSlowly(records: number, ms: number): Promise<void> {
  mostHeld = Math.max(mostHeld, held)
  await pause(ms)
  held -= records
}

const runInto = (sink: Sink<number>, records: number) =>
  runJob((env) => {
    env
      .fromSequence(1, records)
      .map((n) => {
        held++
        return n
      })
      .sinkTo(sink)
  })

const text = 'x'.repeat(1_000)

function slowStream(msARequest: number): void {
  kinesis.on(PutRecordsCommand).callsFake(async ({ Records }) => {
    await takeSlowly(Records.length, msARequest)
    return { Records: Records.map(() => ({ SequenceNumber: '1', ShardId: 'shardId-0' })) }
  })
}

describe('a sink that is slower than its job', () => {
  it('holds the job back: a slow stream', async () => {
    slowStream(4)
    await runInto(kinesisSink({ stream: 'slow', partitionKey: String, order: 'none', serialize: () => text }), 120_000)
    expect(held).toBe(0)
    expect(mostHeld).toBeGreaterThan(1_000)
    expect(mostHeld).toBeLessThan(25_000)
  })

  it('holds the job back: a slow table', async () => {
    dynamo.on(BatchWriteItemCommand).callsFake(async ({ RequestItems }) => {
      await takeSlowly(RequestItems.slow.length, 10)
      return {}
    })
    await runInto(dynamoDbSink({ table: 'slow', key: ['n'], item: (n) => ({ n, text }) }), 60_000)
    expect(held).toBe(0)
    expect(mostHeld).toBeGreaterThan(1_000)
    expect(mostHeld).toBeLessThan(25_000)
  })

  it('holds the job back: a slow bucket', async () => {
    let uploads = 0
    let mostUploads = 0
    s3.on(CreateMultipartUploadCommand).callsFake(async () => {
      mostUploads = Math.max(mostUploads, ++uploads)
      await pause(5)
      return { UploadId: 'upload' }
    })
    s3.on(UploadPartCommand).callsFake(async () => {
      uploads--
      return { ETag: 'etag' }
    })
    s3.on(CompleteMultipartUploadCommand).resolves({})
    await runInto(s3Sink({ bucket: 'slow', format: ndjsonFormat(), maxObjectBytes: 10_000 }), 200_000)
    expect(s3.commandCalls(CompleteMultipartUploadCommand).length).toBeGreaterThan(50)
    // Those of one turn may all be beyond what is allowed.
    expect(mostUploads).toBeLessThan(10)
  })

  it('has its checkpoints while records come and come', async () => {
    slowStream(1)
    const gate = new Gate()
    gate.open = Number.POSITIVE_INFINITY
    const completed: number[] = []
    const sink = kinesisSink<number>({ stream: 'slow', partitionKey: String, order: 'none', serialize: () => text })
    const job = defineJob('endless', (env) => {
      env.fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks()).sinkTo(sink)
    })
    const handle = await run(job, {
      threads: 0,
      checkpointDir: await tempFolder(),
      checkpointIntervalMs: 50,
      onEvent: (event) => {
        if (event.kind === 'checkpoint-completed') completed.push(event.checkpointId)
      },
    })
    await until(() => completed.length >= 2)
    await handle.cancel().catch(() => {})
  })
})

describe('a sink’s writer', () => {
  const sinkOf = (writer: Partial<SinkWriter<number>>): Sink<number> => ({
    name: 'own-sink',
    createWriter: () => ({ write: () => {}, prepareCommit: () => [], close: () => {}, ...writer }),
  })

  it('is given nothing while it asks to wait, but for what one turn has', async () => {
    let sinceAsked = 0
    const sizes: number[] = []
    const writer: Partial<SinkWriter<number>> = {
      write: () => {
        sinceAsked++
      },
      ready: () => {
        if (sinceAsked === 0) return undefined
        return pause(1).then(() => {
          sizes.push(sinceAsked)
          sinceAsked = 0
        })
      },
    }
    await runInto(sinkOf(writer), 20_000)
    expect(sizes.length).toBeGreaterThan(10)
    expect(Math.max(...sizes)).toBeLessThan(20_000 / 10)
  })

  it('fails the job with what it waits for', async () => {
    const writer = { ready: () => Promise.reject(new Error('the outside is gone')) }
    await expectFailure(runInto(sinkOf(writer), 10), 'USER_FUNCTION', 'own-sink', 'the outside is gone')
  })
})
