import {
  type DataStream,
  defineJob,
  kinesisSource,
  type Sink,
  type SinkMarker,
  type StreamExecutionEnvironment,
  TumblingProcessingTimeWindows,
  utf8Line,
  WatermarkStrategy,
} from 'millrace'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DeadLetterBlobs } from '../../functions/dead-letter-blobs.js'
import { revisionStepHandler } from '../../functions/revision-steps.js'
import { attemptOf } from '../../functions/stage-event.js'
import { stageHandler } from '../../functions/stage-handler.js'
import { MemoryBlobStore } from '../../runtime/backends/memory/index.js'
import { Deployed, message } from './deployed.js'
import { AwsImitation } from './imitation.js'

interface Tally {
  readonly key: string
  readonly n: number
}

let delivered: Tally[]
let aws: AwsImitation

/** Seconds of the clock when a job is activated for the first time. */
const FIRST = 1_800_000_000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: FIRST * 1_000 + 999 })
  aws = new AwsImitation()
  delivered = []
})
afterEach(() => {
  aws.restore()
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const sink: Sink<Tally, never> = {
  name: 'delivered',
  createWriter: () => ({ write: (tally) => void delivered.push(tally), prepareCommit: () => [], close: () => {} }),
}

function tallies(env: StreamExecutionEnvironment): DataStream<Tally> {
  return env
    .fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks<string>())
    .uid('words')
    .map((key): Tally => ({ key, n: 1 }))
}

const counting = defineJob('count', (env) => {
  tallies(env)
    .keyBy(({ key }) => key)
    .reduce((a, b) => ({ key: a.key, n: a.n + b.n }))
    .uid('sum')
    .sinkTo(sink)
    .uid('delivered')
})

const windowing = defineJob('window', (env) => {
  tallies(env)
    .keyBy(({ key }) => key)
    .window(TumblingProcessingTimeWindows.of(20 * 60_000))
    .reduce((a, b) => ({ key: a.key, n: a.n + b.n }))
    .uid('sum')
    .sinkTo(sink)
    .uid('delivered')
})

function most(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { key, n } of delivered) counts[key] = Math.max(counts[key] ?? 0, n)
  return counts
}

describe('the functions of a job', () => {
  it('throw batches back until the job is activated, and not afterwards', async () => {
    const deployed = new Deployed(aws, counting, [], 2)
    aws.produce(deployed.stream('words'), 0, ['a'])
    await deployed.invokeNext('words', 0, 10)
    expect(deployed.acknowledged('words', 0)).toBe(0)
    expect(deployed.failures).not.toEqual([])
    expect(await deployed.control({ step: 'begin' })).toMatchObject({ status: 'refused' })
    expect(await deployed.control({ step: 'tick', subtasks: 'all' })).toEqual({ status: 'ticked', poked: 0 })
    expect(await deployed.activate()).toEqual({ status: 'activated', attempt: FIRST, from: null })
    expect(deployed.messages.map(({ stage }) => stage).sort()).toEqual(['sum', 'sum', 'words', 'words'])
    for (const { stage, body } of deployed.messages) expect(JSON.parse(body).poke.stage).toBe(stage)
    await deployed.run(10)
    expect(most()).toEqual({ a: 1 })
    expect(await deployed.activate()).toEqual({ status: 'activated', attempt: FIRST, from: null })
    await deployed.run(10)
    expect(most()).toEqual({ a: 1 })
  })

  it('resume an activation that was cut off', async () => {
    const deployed = new Deployed(aws, counting)
    let puts = 0
    aws.beforePutItem = () => {
      if (++puts === 3) throw new Error('cut off')
    }
    expect(await deployed.activate()).toMatchObject({ status: 'failed', again: true, why: expect.stringContaining('AWS_CALL') })
    aws.produce(deployed.stream('words'), 0, ['a'])
    expect(await deployed.activate()).toEqual({ status: 'activated', attempt: FIRST, from: null })
    await deployed.run(10)
    expect(most()).toEqual({ a: 1 })
  })

  it('write to a sink that knows a job of the same name that was removed', async () => {
    const markers = new Map<string, SinkMarker>()
    const createTransactor: Sink<Tally>['createTransactor'] = () => {
      const rises = (marker: SinkMarker) => {
        const { attempt, version } = markers.get(marker.writer) ?? { attempt: 0, version: 0 }
        if ((marker.attempt - attempt || marker.version - version) <= 0) return false
        markers.set(marker.writer, marker)
        return true
      }
      return {
        apply: async (marker, records) => void (rises(marker) && delivered.push(...records.map(({ value }) => value))),
        fence: async (writer, attempt) => void rises({ writer, attempt, version: 0 }),
      }
    }
    const job = defineJob('marked', (env) => {
      tallies(env)
        .sinkTo({ ...sink, createTransactor })
        .uid('delivered')
    })
    const activated = await Deployed.active(aws, job)
    for (const word of ['a', 'b', 'c']) {
      aws.produce(activated.stream('words'), 0, [word])
      await activated.run(10)
    }
    aws.restore()
    aws = new AwsImitation()
    vi.setSystemTime(Date.now() + 60_000)
    const again = await Deployed.active(aws, job)
    aws.produce(again.stream('words'), 0, ['d'])
    await again.run(10)
    expect(delivered.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'd'])
    expect([...markers.values()].map(({ attempt }) => attempt)).toEqual([FIRST + 60])
  })

  it('refuse to begin without state what another revision has begun', async () => {
    const deployed = await Deployed.active(aws, counting)
    const options = { ...deployed.options(), variables: { ...deployed.variables(), MILLRACE_REVISION: '2' } }
    const activated = await revisionStepHandler(counting, options)({ step: 'activate', from: null, expected: 0, allowStateLoss: [] })
    expect(activated).toMatchObject({ status: 'failed', again: false, why: expect.stringContaining('ACTIVATION_REFUSED') })
  })

  it('go on with the shards that continue one, when it has been read', async () => {
    const deployed = await Deployed.active(aws, counting, [], 1)
    aws.produce(deployed.stream('words'), 0, ['a', 'b'])
    await deployed.run(10)
    const [left, right] = aws.reshard(deployed.stream('words'), [0], 2)
    aws.produce(deployed.stream('words'), left, ['a'])
    aws.produce(deployed.stream('words'), right, ['b', 'c'])
    await deployed.run(1)
    const [merged] = aws.reshard(deployed.stream('words'), [left, right], 1)
    aws.produce(deployed.stream('words'), merged, ['c'])
    await deployed.run(10)
    expect(most()).toEqual({ a: 2, b: 2, c: 2 })
    const id = await deployed.beginCheckpoint()
    await deployed.run(10)
    expect(await deployed.poll(id)).toMatchObject({ status: 'completed', path: 's3://bucket/checkpoints/count/chk-1' })
  })

  it('find out by a tick that a silent shard has ended', async () => {
    const deployed = await Deployed.active(aws, counting, [], 1)
    aws.produce(deployed.stream('words'), 0, ['a'])
    await deployed.run(10)
    expect(await deployed.control({ step: 'tick', subtasks: 'all' })).toEqual({ status: 'ticked', poked: 0 })
    aws.reshard(deployed.stream('words'), [0], 2)
    expect(await deployed.control({ step: 'tick', subtasks: 'sources' })).toEqual({ status: 'ticked', poked: 1 })
    await deployed.run(10)
    expect(await deployed.control({ step: 'tick', subtasks: 'all' })).toEqual({ status: 'ticked', poked: 0 })
  })

  it('forget old checkpoints at the hourly tick, and an hour later what only these needed', async () => {
    const deployed = await Deployed.active(aws, counting, [], 1)
    const standing = (part: string) => [...aws.objects.keys()].filter((key) => key.startsWith(`checkpoints/count/${part}`))
    // Enough that the state does not stand in the log.
    const words = Array.from({ length: 400 }, (_, n) => `a word that is long enough, of which this is the ${n}th`)
    for (const kind of ['checkpoint', 'checkpoint', 'savepoint', 'checkpoint', 'checkpoint', 'checkpoint', 'checkpoint'] as const) {
      aws.produce(deployed.stream('words'), 0, words)
      await deployed.run(500)
      await deployed.control({ step: 'begin', input: { kind } })
      await deployed.run(10)
      await deployed.control({ step: 'tick', subtasks: 'sources' })
    }
    const manifests = (...ids: number[]) => ids.map((id) => `checkpoints/count/chk-${id}/manifest.json`)
    expect(standing('chk-')).toEqual(manifests(1, 2, 3, 4, 5, 6, 7))
    const segments = standing('shared/')
    await deployed.control({ step: 'tick', subtasks: 'all' })
    expect(standing('chk-')).toEqual(manifests(3, 5, 6, 7))
    expect(standing('shared/')).toEqual(segments)
    vi.setSystemTime(Date.now() + 3_600_000)
    await deployed.control({ step: 'tick', subtasks: 'all' })
    // A savepoint stands alone, and so does what comes behind it.
    expect(standing('shared/')).toEqual(segments.slice(2))
    deployed.forgetInstances()
    delivered = []
    aws.produce(deployed.stream('words'), 0, words.slice(0, 1))
    await deployed.run(10)
    expect(delivered.map(({ n }) => n)).toEqual([8])
  })

  it('wake up at a time that is further away than a message may wait', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_700_000_400_000 - (1_700_000_400_000 % 1_200_000) + 1_000 })
    const deployed = await Deployed.active(aws, windowing)
    aws.produce(deployed.stream('words'), 0, ['a', 'a'])
    await deployed.run(10)
    expect(deployed.messages).toHaveLength(1)
    vi.setSystemTime(Date.now() + 901_000)
    await deployed.run(10)
    expect([delivered, deployed.messages.length]).toEqual([[], 1])
    vi.setSystemTime(Date.now() + 300_000)
    await deployed.run(10)
    expect(delivered).toEqual([{ key: 'a', n: 2 }])
  })

  it('throw back what comes through the alias of another attempt', async () => {
    const deployed = await Deployed.active(aws, counting)
    aws.produce(deployed.stream('words'), 0, ['a'])
    const event = aws.event(deployed.stream('words'), 0, aws.shard(deployed.stream('words'), 0))
    const through = (alias: string) =>
      deployed.coldInstance('words')(event, { invokedFunctionArn: `arn:aws:lambda:eu-central-1:1:function:f:${alias}` })
    expect((await through(`attempt-${FIRST + 1}`)).batchItemFailures).toHaveLength(1)
    expect(deployed.failures.at(-1)).toMatchObject({ code: 'BATCH_REFUSED' })
    expect((await through(`attempt-${FIRST}`)).batchItemFailures).toEqual([])
    expect(attemptOf({ invokedFunctionArn: 'arn:aws:lambda:eu-central-1:1:function:attempt-3' })).toBeUndefined()
    expect(attemptOf(undefined)).toBeUndefined()
  })

  it('give back the messages that failed, and poke a subtask once for several', async () => {
    const deployed = await Deployed.active(aws, counting)
    const body = (stage: string) => JSON.stringify({ poke: { stage, subtask: '0', atMs: 0 } })
    const handler = stageHandler(counting, deployed.options('sum'))
    await handler({ Records: [message('0', body('sum'))] })
    aws.calls.length = 0
    const answer = await handler({
      Records: [message('1', body('sum')), message('2', '{'), message('3', body('sum'))],
    })
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: '2' }] })
    expect(aws.count('Query')).toBe(1)
  })

  it('ask for a wake-up again when a message has come before: who got it then may have failed', async () => {
    const deployed = await Deployed.active(aws, windowing)
    aws.produce(deployed.stream('words'), 0, ['a'])
    await deployed.run(10)
    const wakeUps = deployed.messages.filter(({ stage }) => stage === 'sum')
    expect(wakeUps).toHaveLength(1)
    const poke = message('poke', JSON.stringify({ poke: { stage: 'sum', subtask: '0', atMs: 0 } }))
    for (const [times, more] of [
      ['1', 0],
      ['2', 1],
    ] as const) {
      deployed.messages = wakeUps
      const again = { ...poke, messageId: `poke ${times}`, attributes: { ApproximateReceiveCount: times } }
      await deployed.coldInstance('sum')({ Records: [...(times === '2' ? [poke] : []), again] })
      expect(deployed.messages).toHaveLength(1 + more)
    }
  })

  it('hold of several subtasks together no more than the function has memory for', async () => {
    const deployed = new Deployed(aws, counting, [], 2)
    await deployed.activate()
    aws.produce(deployed.stream('words'), 0, ['a', 'b', 'c', 'd', 'e', 'f'])
    await deployed.run(10)
    const queries = async (memory: Readonly<Record<string, string>>) => {
      deployed.more = memory
      const handler = stageHandler(counting, deployed.options('sum'))
      const poke = (subtask: string) => handler({ Records: [message(subtask, JSON.stringify({ poke: { stage: 'sum', subtask, atMs: 0 } }))] })
      for (const subtask of ['0', '1']) await poke(subtask)
      aws.calls.length = 0
      for (const subtask of ['0', '1']) expect(await poke(subtask)).toEqual({ batchItemFailures: [] })
      return aws.count('Query')
    }
    expect(await queries({ AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128' })).toBe(2)
    // A cold start asks for the head, and then for what it names.
    expect(await queries({ AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '0.001' })).toBe(4)
  })

  it('refuse a step that there is not', async () => {
    const deployed = await Deployed.active(aws, counting)
    await expect(deployed.control({ step: 'begin', input: { kind: 'never' as 'stop' } })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    await expect(deployed.control({ step: 'end' } as never)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })

  it('tell what became of a checkpoint, also later, and join one of the same kind', async () => {
    const deployed = await Deployed.active(aws, counting)
    const id = await deployed.beginCheckpoint()
    expect(await deployed.control({ step: 'begin' })).toEqual({ status: 'begun', checkpointId: id })
    expect(await deployed.control({ step: 'begin', input: { kind: 'stop' } })).toMatchObject({ status: 'refused' })
    expect(await deployed.poll(id)).toMatchObject({ status: 'pending', acknowledged: 0, needed: 2 })
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 11 * 60_000 })
    expect(await deployed.poll(id)).toMatchObject({ status: 'aborted', checkpointId: id })
    expect(await deployed.poll(id)).toMatchObject({ status: 'aborted', checkpointId: id })
    const stop = await deployed.control({ step: 'begin', input: { kind: 'stop' } })
    expect(stop).toEqual({ status: 'begun', checkpointId: id + 1 })
    expect(await deployed.poll(id)).toMatchObject({ status: 'aborted', checkpointId: id })
    await deployed.run(10)
    for (let times = 0; times < 2; times++) expect(await deployed.poll(id + 1)).toMatchObject({ status: 'completed' })
    aws.produce(deployed.stream('words'), 0, ['a'])
    await deployed.invokeNext('words', 0, 10)
    expect(deployed.acknowledged('words', 0)).toBe(0)
  })
})

describe('DeadLetterBlobs', () => {
  it('writes a letter once, for people to read', async () => {
    const blobs = new MemoryBlobStore()
    const letters = new DeadLetterBlobs(blobs)
    const letter = {
      stage: 's',
      subtask: '0',
      where: 'record 7',
      error: 'no',
      uid: 's',
      key: 'k',
      partitionKey: null,
      atMs: 7,
      record: { n: 1n << 70n, tags: new Set(['x']), bytes: Uint8Array.of(1, 2), buffer: Buffer.from('hi'), at: new Date(0) },
    }
    await letters.write('job/1/s/0/9/0', letter)
    await letters.write('job/1/s/0/9/0', letter)
    expect(await blobs.list('')).toEqual(['job/1/s/0/9/0.json'])
    const text = new TextDecoder().decode(await blobs.get('job/1/s/0/9/0.json'))
    expect(JSON.parse(text)).toEqual({
      ...letter,
      record: { n: '1180591620717411303424', tags: ['x'], bytes: 'AQI=', buffer: 'aGk=', at: '1970-01-01T00:00:00.000Z' },
    })
  })
})
