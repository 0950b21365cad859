import { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { mockClient } from 'aws-sdk-client-mock'
import { type KinesisSinkOptions, kinesisSink } from 'millrace'
import { SinkHarness } from 'millrace/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

process.env.AWS_REGION = 'eu-central-1'

interface Alert {
  readonly user: string
  readonly n: number
}

const kinesis = mockClient(KinesisClient)
/** What the stream took, in order, and the sizes of the requests. */
let taken: string[]
let requests: string[][]
/** Whether an entry of the request is refused. */
let refuse: (entry: string, request: number) => boolean

const named = (name: string) => Object.assign(new Error(name), { name })

beforeEach(() => {
  taken = []
  requests = []
  refuse = () => false
  kinesis.on(PutRecordsCommand).callsFake(({ Records }) => {
    const entries = Records.map(
      ({ PartitionKey, Data }: { PartitionKey: string; Data: Uint8Array }) => `${PartitionKey} ${new TextDecoder().decode(Data)}`,
    )
    requests.push(entries)
    const answers = entries.map((entry: string) => {
      if (refuse(entry, requests.length)) return { ErrorCode: 'ProvisionedThroughputExceededException', ErrorMessage: 'slower' }
      taken.push(entry)
      return { SequenceNumber: '1', ShardId: 'shardId-0' }
    })
    return { Records: answers, FailedRecordCount: answers.filter(({ ErrorCode }: { ErrorCode?: string }) => ErrorCode !== undefined).length }
  })
})
afterEach(() => kinesis.reset())

const sinkOf = (options: Partial<KinesisSinkOptions<Alert>> = {}) =>
  kinesisSink<Alert>({ stream: 'alerts', partitionKey: ({ user }) => user, serialize: ({ n }) => String(n), ...options })

const ofUser = (user: string) => taken.filter((entry) => entry.startsWith(`${user} `)).map((entry) => Number(entry.split(' ')[1]))

describe('a Kinesis sink', () => {
  it('puts one record of each key a request, in the order of each key, and a checkpoint waits for all', async () => {
    const sink = await SinkHarness.open(sinkOf())
    for (let n = 0; n < 30; n++) sink.write({ user: `u${n % 3}`, n })
    await sink.checkpoint(1)
    expect(taken).toHaveLength(30)
    for (const user of ['u0', 'u1', 'u2']) expect(ofUser(user)).toEqual(Array.from({ length: 10 }, (_, i) => i * 3 + Number(user[1])))
    for (const request of requests) expect(new Set(request.map((entry) => entry.split(' ')[0])).size).toBe(request.length)
    await sink.close()
  })

  it('puts what was refused again, and nothing of its key before', async () => {
    let refusals = 0
    refuse = (entry) => entry === 'u1 1' && refusals++ < 2
    const sink = await SinkHarness.open(sinkOf())
    for (let n = 0; n < 9; n++) sink.write({ user: `u${n % 3}`, n })
    await sink.checkpoint(1)
    expect(refusals).toBe(3)
    expect(ofUser('u0')).toEqual([0, 3, 6])
    expect(ofUser('u1')).toEqual([1, 4, 7])
    expect(ofUser('u2')).toEqual([2, 5, 8])
  })

  it('without order fills requests, within their limits, and loses nothing of what is refused', async () => {
    refuse = (entry, request) => request < 3 && Number(entry.split(' ')[1]) % 7 === 0
    const sink = await SinkHarness.open(sinkOf({ order: 'none' }))
    for (let n = 0; n < 1_200; n++) sink.write({ user: 'u', n })
    await sink.checkpoint(1)
    expect([...ofUser('u')].sort((a, b) => a - b)).toEqual(Array.from({ length: 1_200 }, (_, n) => n))
    expect(Math.max(...requests.map(({ length }) => length))).toBe(500)
    expect(requests.length).toBeLessThan(6)
  })

  it('keeps a request under five megabytes', async () => {
    const large = 'x'.repeat(900 * 1024)
    const sink = await SinkHarness.open(sinkOf({ order: 'none', serialize: () => large }))
    for (let n = 0; n < 12; n++) sink.write({ user: 'u', n })
    await sink.checkpoint(1)
    expect(requests.map(({ length }) => length)).toEqual([5, 5, 2])
  })

  it('fails when the stream takes nothing, and says so at the next value or checkpoint', async () => {
    kinesis.on(PutRecordsCommand).rejects(named('ResourceNotFoundException'))
    const sink = await SinkHarness.open(sinkOf())
    sink.write({ user: 'u', n: 1 })
    await expect(sink.checkpoint(1)).rejects.toMatchObject({
      code: 'AWS_CALL',
      message: expect.stringMatching(/PutRecords failed with ResourceNotFoundException.*Kinesis stream "alerts".*--bind/s),
    })
  })

  it('refuses records and keys that Kinesis does not take', async () => {
    const sink = await SinkHarness.open(sinkOf({ serialize: ({ n }) => 'x'.repeat(n), partitionKey: ({ user }) => user }))
    expect(() => sink.write({ user: 'u', n: 1024 * 1024 })).toThrow(/RECORD_UNSERIALISABLE: a record of 1048577 bytes, with its key "u"/)
    expect(() => sink.write({ user: '', n: 1 })).toThrow(/a partition key is ""/)
    expect(() => sink.write({ user: 'x'.repeat(257), n: 1 })).toThrow(/1 to 256 characters/)
  })

  it.each([[{ stream: '' }], [{ partitionKey: undefined as never }], [{ order: 'some' as never }], [{ maxRecordBytes: 11 << 20 }]] as const)(
    'refuses the options %j',
    (options) => {
      expect(() => sinkOf(options)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    },
  )
})
