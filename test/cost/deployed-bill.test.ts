import { describe, expect, it } from 'vitest'
import { assumedLoad, type DeployedJobShape, type DeployedStageShape, deployedBill, type StageLoad } from '../../cost/deployed-bill.js'

const stage = (name: string, change: Partial<DeployedStageShape> = {}): DeployedStageShape => ({
  ...{ stage: name, isSource: false, subtasks: 1, sendsTo: [], memoryMb: 1_024, batchingWindowSeconds: 0, fanOut: false },
  ...change,
})
const JOB: DeployedJobShape = {
  stages: [stage('clicks', { isSource: true, subtasks: 2, sendsTo: ['count'] }), stage('count', { subtasks: 4 })],
  controlMemoryMb: 1_024,
  frameRetentionHours: 168,
  checkpointMinutes: 1,
  alarms: 15,
  dashboards: 1,
}
const LOAD: StageLoad = { commits: 0, writeUnits: 0, writtenBytes: 0, sending: 0, blobs: 0, blobBytes: 0 }

function usdOf(job: DeployedJobShape, load?: Readonly<Record<string, StageLoad>>, invocationMs = 50) {
  return Object.fromEntries(deployedBill(job, load, invocationMs).map(({ name, usd }) => [name, usd]))
}
const total = (usd: Readonly<Record<string, number>>) => Object.values(usd).reduce((sum, one) => sum + one, 0)

describe('the bill of a deployed job', () => {
  it('has what it costs whether records come or not', () => {
    const usd = usdOf(JOB)
    expect(usd['Kinesis shards between stages']).toBeCloseTo(4 * 10.95)
    expect(usd['Kinesis retention beyond a day']).toBeCloseTo(4 * 14.6)
    expect(usd['CloudWatch alarms']).toBeCloseTo(1.5)
    expect(usd['CloudWatch dashboards']).toBeCloseTo(3)
    // Two queues, a quarter of a poll a second each, at $0.40 a million.
    expect(usd['SQS, empty polls by Lambda']).toBeCloseTo((2 * 0.25 * 730 * 3_600 * 0.4) / 1e6)
    const short = usdOf({ ...JOB, frameRetentionHours: 24, dashboards: 0, alarms: 0 })
    expect(Object.keys(short).filter((name) => /retention|CloudWatch|fan-out/.test(name))).toEqual([])
    const fanOut = { ...JOB, stages: [JOB.stages[0], { ...JOB.stages[1], fanOut: true }] }
    expect(usdOf(fanOut)['Kinesis consumers (enhanced fan-out)']).toBeCloseTo(4 * 10.95)
  })

  it('has what each stage does, all month', () => {
    const usd = usdOf(JOB, { clicks: { ...LOAD, commits: 2, writeUnits: 10, sending: 2, blobs: 1 }, count: { ...LOAD, commits: 4, writeUnits: 4 } })
    expect(usd['Lambda requests']).toBeCloseTo(6 * 0.5256)
    expect(usd['DynamoDB writes']).toBeCloseTo(14 * 1.6425)
    expect(usd['S3 PUT of large parts']).toBeCloseTo(13.14)
    expect(usd['Lambda duration']).toBeCloseTo(6 * 0.05 * 730 * 3_600 * 0.0000166667)
    // A commit that sends sends to each of four subtasks.
    expect(usd['Kinesis PUT units between stages']).toBeCloseTo((8 * 730 * 3_600 * 0.014) / 1e6)
    expect(usd['Checkpoints: S3 PUT']).toBeCloseTo((730 * 60 * 7 * 5) / 1e6)
  })

  it('has no checkpoints where nothing happens', () => {
    expect(total(usdOf(JOB, { clicks: LOAD, count: LOAD }))).toBeCloseTo(total(usdOf(JOB)))
    expect(usdOf({ ...JOB, checkpointMinutes: 10 }, { clicks: { ...LOAD, commits: 1 } })['Checkpoints: Step Functions requests']).toBeCloseTo(
      4_380 / 1e6,
    )
  })
})

describe('the load that records are assumed to be', () => {
  it('is a batch a shard a second, or as often as one comes', () => {
    expect(assumedLoad(JOB, { rate: 1_000, bytes: 200 })).toMatchObject({
      clicks: { commits: 2, blobs: 2, writeUnits: 2 },
      count: { commits: 4, blobs: 0 },
    })
    expect(assumedLoad(JOB, { rate: 0.5, bytes: 200 })).toMatchObject({ clicks: { commits: 0.5, writeUnits: 0.5 }, count: { commits: 0.5 } })
    const gathering = { ...JOB, stages: JOB.stages.map((one) => ({ ...one, batchingWindowSeconds: 10 })) }
    expect(assumedLoad(gathering, { rate: 1_000, bytes: 200 })).toMatchObject({ clicks: { commits: 0.2 }, count: { commits: 0.4 } })
  })

  it('writes what crosses and what changes', () => {
    // 20 records a second in two commits: ten of 200 bytes, half of which crosses.
    expect(assumedLoad(JOB, { rate: 20, bytes: 200 }).clicks.writtenBytes).toBeCloseTo(2 * (400 + 1_000))
    expect(assumedLoad(JOB, { rate: 20, bytes: 200 }).count.writtenBytes).toBeCloseTo(4 * (400 + 100))
  })

  it('costs about what a job of two stages was measured to cost', () => {
    const measured = { ...JOB, alarms: 0, dashboards: 0, stages: [stage('clicks', { isSource: true, sendsTo: ['sums'] }), stage('sums')] }
    for (const [rate, usd] of [
      [10, 34],
      [1_000, 54],
    ] as const) {
      const estimated = total(usdOf(measured, assumedLoad(measured, { rate, bytes: 200 })))
      expect(estimated / usd, `${rate} records a second: ${estimated}`).toBeGreaterThan(0.7)
      expect(estimated / usd, `${rate} records a second: ${estimated}`).toBeLessThan(1.5)
    }
  })
})
