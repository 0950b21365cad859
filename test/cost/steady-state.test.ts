import { describe, expect, it } from 'vitest'
import { LoadRun } from '../../cost/load-run.js'

const IDLE = { rate: 0, keys: 10_000, parallelism: 1, variant: 'projected', instances: 1, windowSec: 1 } as const
const NEVER = { checkpointMs: 0, tickMs: 0 }
const SECONDS = 20
/** A part above this goes to a blob. */
const INLINE_BYTES = 8 * 1024

async function steady(rate: number, parallelism = 1) {
  const run = new LoadRun({ rate, keys: 10_000, parallelism, variant: 'projected', instances: 1, windowSec: 1, ...NEVER })
  await run.activate()
  await run.seconds(10)
  run.meter.reset()
  run.events.clear()
  run.results = 0
  await run.seconds(SECONDS)
  return { run, source: run.meter.of('source'), keyed: run.meter.of('keyed') }
}

describe('the steady state of two stages', () => {
  it('is a query and a put an invocation, and a request a downstream stream', async () => {
    const { run, source, keyed } = await steady(10)
    const each = {
      lambdaRequests: SECONDS,
      dynamoQueries: SECONDS,
      dynamoPuts: SECONDS,
      dynamoReadUnits: SECONDS,
      s3Gets: 0,
      s3Lists: 0,
      sqsRequests: 0,
    }
    expect(source).toMatchObject({ ...each, kinesisPutRecords: SECONDS, kinesisRecords: SECONDS, s3Puts: 0 })
    expect(keyed).toMatchObject({ ...each, kinesisPutRecords: 0, s3Puts: 0 })
    expect(run.meter.of('control').lambdaRequests).toBe(0)
    expect(run.events.get('commit')).toBe(2 * SECONDS)
    expect(run.meter.invocations.map(({ calls }) => calls)).toEqual(Array.from({ length: SECONDS }, () => [3, 2]).flat())
    // Windows of 5 s fire: nearly each event has a key of its own in its window.
    expect(run.results).toBeGreaterThan(150)
  })

  it('logs a line a minute of each instance, and nothing of each invocation', async () => {
    const run = new LoadRun({ ...IDLE, rate: 10, ...NEVER })
    await run.activate()
    await run.seconds(60)
    run.meter.reset()
    await run.seconds(300)
    const { source, keyed } = { source: run.meter.of('source'), keyed: run.meter.of('keyed') }
    for (const { logBytes, lambdaRequests } of [source, keyed]) {
      expect(lambdaRequests).toBe(300)
      expect(logBytes / 5).toBeGreaterThan(150)
      expect(logBytes / 5).toBeLessThan(600)
    }
  })

  it('puts a blob only for a part that is too large for the log', async () => {
    const { run, source, keyed } = await steady(1_000)
    const each = { lambdaRequests: SECONDS, dynamoQueries: SECONDS, dynamoPuts: SECONDS, s3Gets: 0 }
    expect(source).toMatchObject({ ...each, kinesisPutRecords: SECONDS })
    expect(keyed).toMatchObject(each)
    expect(source.s3Puts + keyed.s3Puts).toBe(run.events.get('part-in-blob'))
    // The changes of a commit stand in the log; where windows fire, one in five, changes and results together are one blob.
    expect(keyed.s3Puts).toBe(SECONDS / 5)
    expect(source.s3Puts).toBe(0)
    for (const { s3Puts, s3PartBytes } of [source, keyed]) if (s3Puts > 0) expect(s3PartBytes / s3Puts).toBeGreaterThan(INLINE_BYTES)
    // What is left in the items stays below it.
    expect(source.dynamoWrittenBytes / source.dynamoPuts).toBeLessThan(INLINE_BYTES)
  })

  it('is one request a downstream stream however many subtasks that has', async () => {
    const { source, keyed } = await steady(100, 4)
    expect(source).toMatchObject({ dynamoPuts: SECONDS, dynamoQueries: SECONDS, kinesisPutRecords: SECONDS, kinesisRecords: 4 * SECONDS })
    expect(keyed).toMatchObject({ dynamoPuts: 4 * SECONDS, dynamoQueries: 4 * SECONDS, lambdaRequests: 4 * SECONDS })
  })

  it('is nothing at all when nothing comes, and nobody ticks or begins checkpoints', async () => {
    const { run } = await steady(0)
    expect(run.meter.invocations).toEqual([])
    expect(Object.values(run.meter.total).every((amount) => amount === 0)).toBe(true)
  })

  it('is one look in a while when ticks and checkpoints go on, and nothing is poked, committed or taken', async () => {
    const run = new LoadRun({ ...IDLE, checkpointMs: 60_000, tickMs: 60_000 })
    await run.activate()
    await run.seconds(2 * 3_600)
    run.meter.reset()
    run.events.clear()
    await run.seconds(3_600)
    expect(new Set(run.meter.invocations.map((invocation) => invocation.function))).toEqual(new Set(['control']))
    expect(Object.fromEntries(run.events)).toEqual({ 'checkpoint-unchanged': 60, 'tick-quiet': 61 })
    const { dynamoPuts, s3Puts, kinesisRecords, sqsRequests, lambdaRequests, dynamoReadUnits } = run.meter.total
    expect({ dynamoPuts, s3Puts, kinesisRecords, sqsRequests }).toEqual({ dynamoPuts: 0, s3Puts: 0, kinesisRecords: 0, sqsRequests: 0 })
    // A checkpoint that is not taken: the job record, and all heads. A tick: the record, and the sources' heads or all.
    expect([lambdaRequests, dynamoReadUnits]).toEqual([121, 60 * 3 + 60 * 2 + 3])
  })

  it('comes back after a checkpoint', async () => {
    const run = new LoadRun({
      rate: 1_100,
      keys: 100,
      parallelism: 2,
      variant: 'projected',
      instances: 1,
      windowSec: 1,
      checkpointMs: 20_000,
      tickMs: 0,
    })
    await run.activate()
    await run.seconds(30)
    expect(run.events.get('checkpoint-completed')).toBe(2)
    run.meter.reset()
    await run.seconds(10)
    expect(run.meter.of('source')).toMatchObject({ lambdaRequests: 20, dynamoPuts: 20, dynamoQueries: 20, kinesisPutRecords: 20 })
    expect(run.meter.of('keyed')).toMatchObject({ lambdaRequests: 20, dynamoPuts: 20, dynamoQueries: 20 })
  })
})
