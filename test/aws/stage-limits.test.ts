import {
  type DataStream,
  defineJob,
  EventTimeSessionWindows,
  fileSink,
  kinesisSource,
  type StreamExecutionEnvironment,
  textFormat,
  utf8Line,
  WatermarkStrategy,
} from 'millrace'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { deploymentPlan } from '../../functions/deployment-plan.js'
import { stageHandler } from '../../functions/stage-handler.js'
import { Deployed } from './deployed.js'
import { AwsImitation } from './imitation.js'

const PLAN = { parameters: [], parallelism: undefined }

function words(env: StreamExecutionEnvironment): DataStream<string> {
  return env.fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks<string>()).uid('words')
}

/** Hardly to be compressed. */
const NOISE = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(33 + (((Math.imul(i, i) ^ (i * 7919)) >>> 3) % 90))).join('')

describe('what stages cannot do yet', () => {
  let aws: AwsImitation

  beforeEach(() => {
    aws = new AwsImitation()
  })
  afterEach(() => {
    aws.restore()
    vi.restoreAllMocks()
  })

  it('refuses sources that are no streams, and sinks that commit, when it is planned', () => {
    const collection = defineJob('j', (env) => void env.fromElements(1).print())
    expect(() => deploymentPlan(collection, PLAN)).toThrow(expect.objectContaining({ code: 'PLAN_INVALID', uid: 'collection' }))
    const files = defineJob(
      'j',
      (env) =>
        void words(env)
          .sinkTo(fileSink({ path: 'out/', format: textFormat() }))
          .uid('files'),
    )
    expect(() => deploymentPlan(files, PLAN)).toThrow(expect.objectContaining({ code: 'PLAN_INVALID', uid: 'files' }))
  })

  it('refuses state of another plan, batches of another stream or of two shards, and shards that continue none', async () => {
    const job = defineJob('j', (env) => void words(env).print())
    const deployed = await Deployed.active(aws, job)
    vi.spyOn(process.stdout, 'write').mockImplementation(((_: string, done?: () => void) => {
      done?.()
      return true
    }) as never)
    aws.produce(deployed.stream('words'), 0, ['a', 'b'])
    await deployed.invokeNext('words', 0, 1)
    const [, next] = aws.shard(deployed.stream('words'), 0)
    const failureOf = async (handler: ReturnType<typeof stageHandler>, event: Parameters<ReturnType<typeof stageHandler>>[0]) => {
      expect(await handler(event)).toEqual({ batchItemFailures: [{ itemIdentifier: String(next.sequence) }] })
      return deployed.failures.at(-1)
    }

    expect(await failureOf(deployed.coldInstance('words'), aws.event('other', 0, [next]))).toMatchObject({ code: 'BATCH_REFUSED' })
    const [[own], [others]] = [0, 1].map((shard) => aws.event(deployed.stream('words'), shard, [next]).Records)
    expect(await failureOf(deployed.coldInstance('words'), { Records: [own, others] })).toMatchObject({
      message: expect.stringMatching(/two shards/),
    })
    expect(await failureOf(deployed.coldInstance('words'), aws.event(deployed.stream('words'), 1, [next]))).toMatchObject({ code: 'SOURCE_FAILED' })
    const changed = defineJob(
      'j',
      (env) =>
        void words(env)
          .filter(() => true)
          .print(),
    )
    const variables = { ...deployed.variables('words'), MILLRACE_PLAN: deploymentPlan(changed, { parameters: [], parallelism: 1 }).fingerprint }
    expect(
      await failureOf(stageHandler(changed, { ...deployed.options('words'), variables }), aws.event(deployed.stream('words'), 0, [next])),
    ).toMatchObject({
      code: 'PLAN_INVALID',
      message: expect.stringContaining('another revision'),
    })
    expect(deployed.acknowledged('words', 0)).toBe(1)
  })

  it('refuses a damaged frame and a part that is gone', async () => {
    const job = defineJob('j', (env) => {
      words(env)
        .map((w) => ({ w, padding: NOISE }))
        .keyBy(({ w }) => w)
        .window(EventTimeSessionWindows.withGap(5))
        .reduce((a) => a)
        .uid('window')
        .print()
    })
    const deployed = await Deployed.active(aws, job)
    aws.produce(deployed.stream('words'), 0, ['a'])
    await deployed.invokeNext('words', 0, 1)
    const frame = aws.shard(deployed.stream('window'), 0)[0]
    frame.data[100] ^= 1
    await deployed.invokeNext('window', 0, 1)
    expect(deployed.failures.at(-1)).toMatchObject({ code: 'FRAME_CORRUPT' })
    expect([...aws.objects.keys()]).toHaveLength(1)
    aws.objects.clear()
    const again = aws.event(deployed.stream('words'), 0, aws.shard(deployed.stream('words'), 0))
    await deployed.coldInstance('words')(again)
    expect(deployed.failures.at(-1)).toMatchObject({ code: 'LOG_CORRUPT' })
  })
})
