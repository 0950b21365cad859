import { defineJob, kinesisSource, type Sink, utf8Line, WatermarkStrategy } from 'millrace'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { deadLetterList, deadLetterReplay, deadLetterShow } from '../../cli/dead-letter-commands.js'
import type { KeptLetter } from '../../functions/dead-letter-box.js'
import { DeployedWorld, NOW } from './deployed-world.js'

const SHOP = { stack: 'shop' }

let written: unknown[]
/** Words that the functions do not take. */
let refused: Set<string>

const sink: Sink<unknown, never> = {
  name: 'out',
  createWriter: () => ({ write: (value) => void written.push(value), prepareCommit: () => [], close: () => {} }),
}

const job = defineJob('tally', (env) => {
  env
    .fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks<string>())
    .uid('words')
    .map((word) => {
      if (refused.has(word)) throw new Error(`no ${word} here`)
      return word
    })
    .uid('check')
    .keyBy((word) => word[0])
    .map((word) => {
      if (refused.has(`${word}!`)) throw new Error(`no ${word} there`)
      return word
    })
    .uid('second')
    .sinkTo(sink)
    .uid('out')
})

let world: DeployedWorld

beforeEach(async () => {
  vi.spyOn(console, 'error').mockImplementation(() => {})
  written = []
  refused = new Set()
  world = await DeployedWorld.of(job)
  world.deployed.more = { MILLRACE_FAILING_RECORDS: 'dead-letter' }
})
afterEach(() => {
  world.end()
  vi.restoreAllMocks()
})

async function ids(): Promise<string[]> {
  await deadLetterList({ ...SHOP, json: true })
  return world.json<{ letters: KeptLetter[] }>().letters.map(({ id }) => id)
}

/** What replays have put into the stream. */
function put(): string[] {
  const records = world.aws.shard(world.deployed.stream('words'), 0)
  return records.slice(records.length - world.aws.count('PutRecord', 'tally-words p')).map(({ data }) => new TextDecoder().decode(data))
}

describe('dead letters', () => {
  it('are listed with the operator, the place, the key and the error, newest first', async () => {
    await deadLetterList(SHOP)
    expect(world.said()).toBe('no dead letters in s3://bucket/dead-letters/tally\n')
    refused = new Set(['bad', 'worse!'])
    await world.produce(0, 'good', 'bad')
    vi.setSystemTime(NOW + 60_000)
    await world.produce(0, 'worse')
    expect(written).toEqual(['good'])
    await deadLetterList(SHOP)
    const [first, second, ...more] = world.said().trimEnd().split('\n')
    expect(first).toMatch(
      /^1\/second\/0\/\d+\/0 +2026-03-01T12:01:00.000Z {2}second {2}"w" {2}\d+:shardId-000000000000 \d+ 0 0 +USER_FUNCTION: .*threw \(no worse there\)$/,
    )
    expect(second).toMatch(
      /^1\/words\/shardId-000000000000\/\d+\/0 {2}2026-03-01T12:00:00.000Z {2}check {3}p +shardId-000000000000 \d{56} {2}USER_FUNCTION: .*\(no bad here\)$/,
    )
    expect(more).toEqual([])
    await deadLetterList({ ...SHOP, limit: 1 })
    expect(world.said()).toContain('… and 1 more (--limit shows more)')
  })

  it('are shown with their record', async () => {
    refused = new Set(['bad', 'worse!'])
    await world.produce(0, 'bad', 'worse')
    const [inner, outer] = (await ids()).toSorted()
    await deadLetterShow(outer, SHOP)
    expect(world.said()).toMatch(
      /^1\/words\/[^\n]*\n {2}when +2026-03-01T12:00:00.000Z\n {2}stage +words, subtask shardId-000000000000\n {2}operator +check\n {2}partition key +p\n(.*\n)* {2}record +bad\n {2}USER_FUNCTION: [^\n]*\n {4}where: /,
    )
    await deadLetterShow(inner, { ...SHOP, json: true })
    expect(world.json()).toMatchObject({ id: inner, stage: 'second', uid: 'second', key: 'w', partitionKey: null, record: 'worse', replay: null })
    await expect(deadLetterShow('1/x/0/1/0', SHOP)).rejects.toThrow(/OPTION_INVALID: there is no dead letter 1\/x\/0\/1\/0/)
  })

  it('are put into their stream again, once', async () => {
    refused = new Set(['bad'])
    await world.produce(0, 'bad', 'good')
    refused = new Set()
    const [id] = await ids()
    await deadLetterReplay([id], SHOP)
    expect(world.said()).toMatch(new RegExp(`^${id}  record \\d{56} of shardId-000000000000 in tally-words\n$`))
    expect(put()).toEqual(['bad'])
    await world.deployed.run(10)
    expect(written).toEqual(['good', 'bad'])
    await expect(deadLetterReplay([id], SHOP)).rejects.toThrow(/CONTROL_REFUSED: .* was replayed at 2026-03-01T12:00:00.000Z, as record \d+ of/)
    await deadLetterList(SHOP)
    expect(world.said()).toContain('(replayed 2026-03-01T12:00:00.000Z)')
    await deadLetterReplay([id], { ...SHOP, again: true, json: true })
    expect(world.json()).toEqual({
      replayed: [{ id, stream: 'tally-words', shard: 'shardId-000000000000', position: expect.stringMatching(/^\d{56}$/) }],
    })
    await deadLetterReplay([], { ...SHOP, all: true })
    expect(world.said()).toBe('nothing to replay\n')
  })

  it('are put there by one of two who replay the same letter', async () => {
    refused = new Set(['bad'])
    await world.produce(0, 'bad')
    const [id] = await ids()
    const both = await Promise.allSettled([deadLetterReplay([id], SHOP), deadLetterReplay([id], SHOP)])
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'CONTROL_REFUSED' } })
    expect(put()).toEqual(['bad'])
  })

  it('are replayed all together, in the order in which they failed, but for those of inner stages', async () => {
    refused = new Set(['bad', 'evil', 'worse!'])
    await world.produce(0, 'bad')
    vi.setSystemTime(NOW + 1_000)
    await world.produce(0, 'evil', 'worse')
    await deadLetterReplay([], { ...SHOP, all: true })
    expect(put()).toEqual(['bad', 'evil'])
    expect(world.said().trimEnd().split('\n')).toHaveLength(2)
    const inner = (await ids()).find((id) => id.startsWith('1/second')) as string
    await expect(deadLetterReplay([inner], SHOP)).rejects.toThrow(/CONTROL_REFUSED: the record of .* came from|did not come from a stream outside/)
  })

  it('stay as they are when the stream refuses, and are uncertain when it does not answer', async () => {
    refused = new Set(['bad'])
    await world.produce(0, 'bad')
    const [id] = await ids()
    world.aws.beforePutRecord = () => {
      throw Object.assign(new Error('no'), { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } })
    }
    await expect(deadLetterReplay([id], SHOP)).rejects.toThrow(/AWS_CALL: PutRecord failed with AccessDeniedException[\s\S]*kinesis:PutRecord/)
    world.aws.beforePutRecord = () => {
      throw new Error('socket hang up')
    }
    await expect(deadLetterReplay([id], SHOP)).rejects.toThrow(/PutRecord failed/)
    world.aws.beforePutRecord = undefined
    await expect(deadLetterReplay([id], SHOP)).rejects.toThrow(
      /replay 1 of .* began at .*, and whether the record was put into its stream is not known/,
    )
    await deadLetterReplay([id], { ...SHOP, again: true })
    expect(put()).toEqual(['bad'])
  })

  it('are named, or all of them are meant', async () => {
    await expect(deadLetterReplay([], SHOP)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    await expect(deadLetterReplay(['x'], { ...SHOP, all: true })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })
})
