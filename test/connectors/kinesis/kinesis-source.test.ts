import { type KinesisSourceOptions, type KinesisSplit, kinesisSource, utf8Line } from 'millrace'
import { SourceHarness } from 'millrace/testing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { restoredSplits, splitsToRegister } from '../../../runtime/checkpoint/split-restore.js'
import { AwsImitation } from '../../aws/imitation.js'

process.env.AWS_REGION = 'eu-central-1'

let aws: AwsImitation
const open: { close(): Promise<void> }[] = []

beforeEach(() => {
  aws = new AwsImitation()
})
afterEach(async () => {
  for (const harness of open.splice(0)) await harness.close()
  aws.restore()
})

const source = (options: Partial<KinesisSourceOptions<string>> = {}) =>
  kinesisSource({ stream: 'words', deserialize: utf8Line, pollIntervalMs: 0, ...options })

type Harness = Awaited<ReturnType<typeof start>>
async function start(
  options: Parameters<typeof SourceHarness.start<string, KinesisSplit, { readonly sinceMs: number | null }>>[1] = {},
  from = source(),
) {
  const harness = await SourceHarness.start(from, { timeoutMs: 20_000, ...options })
  open.push(harness)
  return harness
}

const id = (index: number) => `shardId-${String(index).padStart(12, '0')}`
const split = (index: number, rest: Partial<KinesisSplit> = {}): KinesisSplit => ({
  splitId: id(index),
  position: null,
  successors: [],
  ended: false,
  ...rest,
})
const position = (shard: number, index: number) => String(aws.shard('words', shard)[index].sequence)
const splitsOf = (harness: Harness) =>
  harness
    .snapshot()
    .readers.flat()
    .sort((a, b) => (a.splitId < b.splitId ? -1 : 1))

/** Until it knows of so many shards, as those that continue one which has ended. */
const polledFor = (harness: Harness, shards: number) =>
  vi.waitFor(
    () => {
      harness.poll(0)
      expect(splitsOf(harness)).toHaveLength(shards)
    },
    { timeout: 20_000 },
  )

describe('a Kinesis source in one process', () => {
  it('waits out throttling and passing failures, and loses nothing', async () => {
    aws.createStream('words', 1)
    aws.produce('words', 0, ['a', 'b', 'c'])
    const failures = ['ProvisionedThroughputExceededException', 'LimitExceededException']
    aws.failRead = () => {
      const name = failures.shift()
      return name === undefined ? undefined : Object.assign(new Error('slower'), { name })
    }
    const harness = await start()
    expect(await harness.take(3)).toEqual(['a', 'b', 'c'])
    expect(failures).toEqual([])
  })

  it('goes on behind the last record that came when its iterator has expired', async () => {
    aws.createStream('words', 1)
    aws.produce('words', 0, ['a', 'b', 'c', 'd'])
    let reads = 0
    aws.failRead = () => (++reads === 2 ? Object.assign(new Error('too old'), { name: 'ExpiredIteratorException' }) : undefined)
    const harness = await start({}, source({ maxRecordsPerRead: 2 }))
    expect(await harness.take(4)).toEqual(['a', 'b', 'c', 'd'])
    expect(aws.count('GetShardIterator')).toBe(2)
  })

  it('fails for what does not pass, with what is to be done', async () => {
    aws.createStream('words', 1)
    aws.failRead = () => Object.assign(new Error('not you'), { name: 'AccessDeniedException' })
    const harness = await start()
    await expect(harness.take(1)).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringMatching(/GetRecords failed with AccessDeniedException \(not you\).*shardId-000000000000.*Allow kinesis:ListShards/s),
    })
  })

  it('reads no more than it can keep', async () => {
    aws.createStream('words', 1)
    const large = 'x'.repeat(1 << 20)
    aws.produce(
      'words',
      0,
      Array.from({ length: 12 }, () => large),
    )
    const harness = await start({}, source({ maxRecordsPerRead: 1 }))
    // Four megabytes wait.
    await vi.waitFor(() => expect(aws.count('GetRecords')).toBe(4), { timeout: 20_000 })
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(aws.count('GetRecords')).toBe(4)
    expect(await harness.take(12)).toHaveLength(12)
  })

  it('releases an ended shard only when those that continue it have been assigned', async () => {
    aws.createStream('words', 2)
    aws.produce('words', 0, ['a'])
    aws.produce('words', 1, ['b'])
    aws.reshard('words', [0, 1], 1)
    aws.produce('words', 2, ['c'])
    const harness = await start({ parallelism: 2 })
    await harness.take(3)
    expect(harness.values.at(-1)).toBe('c')
    harness.poll(0)
    harness.poll(1)
    expect([...harness.releasedSplits].sort()).toEqual([id(0), id(1)])
    expect(harness.records.at(-1)?.splitId).toBe(id(2))
  })

  it('keeps in a checkpoint what stages on AWS keep: positions, ended shards and what continues them', async () => {
    aws.createStream('words', 2)
    aws.produce('words', 0, ['a', 'b'])
    aws.produce('words', 1, ['c'])
    aws.reshard('words', [0], 2)
    const harness = await start()
    await harness.take(3)
    await polledFor(harness, 4)
    const successors = [2, 3].map((index) => ({ splitId: id(index), parents: [id(0)] }))
    expect(splitsOf(harness)).toEqual([
      split(0, { position: position(0, 1), successors, ended: true }),
      split(1, { position: position(1, 0) }),
      split(2),
      split(3),
    ])
  })

  it('goes on from a checkpoint of stages: a shard begins when the last of its parents ends', async () => {
    aws.createStream('words', 2)
    aws.produce('words', 0, ['a'])
    aws.produce('words', 1, ['b', 'c'])
    aws.reshard('words', [0, 1], 1)
    aws.produce('words', 2, ['d'])
    const successors = [{ splitId: id(2), parents: [id(0), id(1)] }]
    const readers = [[split(0, { position: position(0, 0), successors, ended: true })], [split(1, { position: position(1, 0) })]]
    const harness = await start({ restored: { enumerator: undefined as never, readers } })
    // Held for as long as its other parent goes on.
    expect(splitsOf(harness).map(({ splitId, ended }) => [splitId, ended])).toEqual([
      [id(0), true],
      [id(1), false],
    ])
    expect(await harness.take(2)).toEqual(['c', 'd'])
    expect(splitsOf(harness).map(({ splitId, ended }) => [splitId, ended])).toEqual([
      [id(0), true],
      [id(1), true],
      [id(2), false],
    ])
  })

  it('forgets an ended shard that the stream has forgotten, and refuses to go on from one that has not been read', async () => {
    aws.createStream('words', 1)
    aws.produce('words', 0, ['a'])
    aws.reshard('words', [0], 1)
    aws.produce('words', 1, ['b'])
    const ended = split(0, { position: position(0, 0), successors: [{ splitId: id(1), parents: [id(0)] }], ended: true })
    aws.expireShard('words', 0)
    const harness = await start({ restored: { enumerator: { sinceMs: null }, readers: [[ended, split(1)]] } })
    expect(await harness.take(1)).toEqual(['b'])
    expect(splitsOf(harness).map(({ splitId }) => splitId)).toEqual([id(1)])
    const unread = { enumerator: { sinceMs: null }, readers: [[split(0)]] }
    await expect(SourceHarness.start(source(), { restored: unread })).rejects.toThrow(/shardId-000000000000.*is older than the stream keeps records/s)
  })

  it('keeps what stages on AWS can go on from', async () => {
    aws.createStream('words', 2)
    aws.produce('words', 0, ['a', 'b'])
    aws.reshard('words', [0], 2)
    const harness = await start({ parallelism: 2 })
    await harness.take(2)
    await polledFor(harness, 4)
    const { readers } = harness.snapshot()
    const subtasks = readers.map((operatorState, subtask) => ({ subtask, operatorState, keyed: [] }))
    const manifest = { operators: [{ uid: 'words', subtasks }] } as unknown as Parameters<typeof restoredSplits>[0]
    const splits = [0, 1, 2, 3].map((index) => ({ splitId: id(index), parents: index > 1 ? [id(0)] : [], closed: index === 0 }))
    const [registered] = Object.values(splitsToRegister(manifest, [{ stage: 'words', uid: 'words', stream: 'words', splits }]))
    const ordinals = Object.fromEntries(registered.map(({ splitId }, ordinal) => [splitId, { ordinal, epoch: 0, parents: [] }]))
    const restored = restoredSplits(manifest, 'words', ordinals).map(({ splitId, position: at, ended }) => ({ splitId, at, ended }))
    expect(restored.sort((a, b) => (a.splitId < b.splitId ? -1 : 1))).toEqual([
      { splitId: id(0), at: position(0, 1), ended: true },
      { splitId: id(1), at: null, ended: false },
      { splitId: id(2), at: null, ended: false },
      { splitId: id(3), at: null, ended: false },
    ])
  })

  it('deals the shards of a checkpoint out evenly', async () => {
    aws.createStream('words', 4)
    const harness = await start({ parallelism: 2, restored: { enumerator: { sinceMs: null }, readers: [[0, 1, 2, 3].map((index) => split(index))] } })
    expect(harness.snapshot().readers.map((splits) => splits.map(({ splitId }) => splitId))).toEqual([
      [id(0), id(2)],
      [id(1), id(3)],
    ])
  })

  it('refuses options that cannot be used', () => {
    const bad: Partial<KinesisSourceOptions<string>>[] = [
      { stream: '' },
      { start: { timestampMs: Number.NaN } },
      { pollIntervalMs: -1 },
      { maxRecordsPerRead: 10_001 },
      { maxRecordsPerRead: 0.5 },
    ]
    for (const options of bad) expect(() => source(options)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  })
})
