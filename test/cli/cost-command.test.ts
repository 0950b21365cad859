import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type CostReport, costCommand } from '../../cli/cost-command.js'
import { type DeployedSettings, noDeployment, replaceDeployment } from '../../functions/deployment-record.js'
import { awsClients, DynamoDbCommitLog } from '../../runtime/backends/aws/index.js'
import { DeployedWorld, NOW } from './deployed-world.js'
import { tally } from './tally-job.js'

const SHOP = { stack: 'shop', json: true }
const SETTINGS: DeployedSettings = {
  memoryMb: { words: 1_024, count: 512 },
  batchingWindowSeconds: { words: 0, count: 0 },
  controlMemoryMb: 1_024,
  frameRetentionHours: 168,
  checkpointMinutes: 1,
  fanOut: [],
  alarms: 15,
  dashboards: 1,
  retainedSavepoints: 10,
}

let world: DeployedWorld

beforeEach(async () => {
  world = await DeployedWorld.of(tally, 2)
})
afterEach(() => world.end())

async function deployedWith(settings: DeployedSettings = SETTINGS): Promise<void> {
  const active = { revision: '1', control: 'shop-control', sources: {}, settings }
  await replaceDeployment(new DynamoDbCommitLog(awsClients().dynamo, 'table'), 'tally', { ...noDeployment(NOW), active }, 0)
}

async function produce(times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    vi.setSystemTime(Date.now() + 1_000)
    await world.produce(0, 'a 100', 'b 100')
  }
}

async function costOf(flags: object = {}): Promise<CostReport> {
  await costCommand({ ...SHOP, ...flags })
  return world.json<CostReport & Record<string, unknown>>()
}
const quantityIn = ({ lines }: CostReport, wanted: string) => lines.find(({ name }) => name === wanted)?.quantity
const requestsIn = (report: CostReport) => quantityIn(report, 'Lambda requests') as number
const namesIn = ({ lines }: CostReport, group: string) => lines.filter((line) => line.group === group).map(({ name }) => name)

describe('millrace cost', () => {
  it('prices what stands there when nothing comes, and says what is missing', async () => {
    await deployedWith()
    const report = await costOf()
    expect(report).toMatchObject({ job: 'tally', trafficUsd: null, monthlyUsd: report.fixedUsd })
    expect(namesIn(report, 'traffic')).toEqual([])
    expect(report.lines.find(({ name }) => name === 'Kinesis shards between stages')?.usd).toBeCloseTo(2 * 10.95)
    expect(report.assumptions[0]).toMatch(/Nothing has come in the last hour.*--rate/)
    expect(report.unverifiedPrices).toEqual(['shardHourRetention', 'sqsRequest', 'alarm', 'dashboard'])
  })

  it('prices what the logs say of the last hour', async () => {
    await deployedWith()
    await produce(20)
    const report = await costOf()
    expect(report.assumptions[0]).toMatch(/Traffic as in the last 20 seconds of the logs/)
    expect(report.trafficUsd).toBeGreaterThan(0)
    expect(report.monthlyUsd).toBeCloseTo(report.fixedUsd + (report.trafficUsd as number))
    // One commit of the shard that has words, and one or two of those who count them, each second of a month.
    expect(requestsIn(report)).toBeGreaterThan(1.9 * 730 * 3_600)
    expect(requestsIn(report)).toBeLessThan(3.1 * 730 * 3_600)
    // What came to so much in 20 seconds came to as much in half an hour.
    vi.setSystemTime(NOW + 1_800_000)
    const later = await costOf()
    expect(later.assumptions[0]).toMatch(/Traffic as in the last 30 minutes of the logs/)
    expect(requestsIn(later)).toBeCloseTo(requestsIn(report) / 90)
    // Behind the first hour nothing is said of what is longer ago.
    vi.setSystemTime(NOW + 3_610_000)
    const behind = await costOf()
    expect(behind.assumptions[0]).toMatch(/Traffic as in the last 60 minutes of the logs/)
    expect(requestsIn(behind) / requestsIn(report)).toBeCloseTo(11 / 20 / 180, 3)
    vi.setSystemTime(NOW + 2 * 3_600_000)
    expect((await costOf()).trafficUsd).toBe(null)
  })

  it('prices what was written and sent', async () => {
    await deployedWith()
    await produce(20)
    const small = await costOf()
    // Each second the shard that has words sends to both who count; nobody sends what they write.
    expect(quantityIn(small, 'Kinesis PUT units between stages')).toBeCloseTo(2 * 730 * 3_600)
    // All commits fit into a unit, and into the table.
    expect(quantityIn(small, 'DynamoDB writes')).toBeCloseTo(requestsIn(small))
    expect(quantityIn(small, 'S3 PUT of large parts')).toBeUndefined()
    const large = randomBytes(60_000).toString('base64')
    vi.setSystemTime(Date.now() + 1_000)
    await world.produce(0, `${large} 100`)
    const blobs = [...world.aws.objects].filter(([name]) => !name.startsWith('checkpoints/'))
    expect(blobs.length).toBeGreaterThan(1)
    const kept = blobs.reduce((sum, [, bytes]) => sum + bytes.length, 0)
    const usage = await costOf()
    expect(quantityIn(usage, 'S3 PUT of large parts')).toBeCloseTo((blobs.length / 21) * 730 * 3_600)
    expect(quantityIn(usage, 'S3 storage of large parts')).toBeCloseTo(((kept / 21) * 7 * 24 * 3_600) / 1e9)
  })

  it('takes the newest hundred commits of a log as what comes now', async () => {
    await deployedWith()
    await produce(20)
    vi.setSystemTime(NOW + 1_800_000)
    await produce(120)
    // Over all that is there, an hour at most, it would be a tenth of that.
    expect(requestsIn(await costOf())).toBeGreaterThan(1.9 * 730 * 3_600)
  })

  it('prices the records that it is told of', async () => {
    await deployedWith()
    const thousand = await costOf({ rate: 1_000, recordBytes: 200 })
    expect(thousand.assumptions.join(' ')).toMatch(/1000 records a second of 200 bytes/)
    expect((await costOf({ rate: 1_000, recordBytes: 2_000 })).monthlyUsd).toBeGreaterThan(thousand.monthlyUsd)
    expect((await costOf({ rate: 0 })).trafficUsd).toBe(0)
    const slow = await costOf({ rate: 1_000, invocationMs: 500 })
    const duration = (report: CostReport) => report.lines.find(({ name }) => name === 'Lambda duration')?.usd as number
    expect(duration(slow)).toBeCloseTo(10 * duration(thousand))
  })

  it('for people', async () => {
    await deployedWith()
    await costCommand({ stack: 'shop', rate: 10 })
    const said = world.said()
    expect(said).toMatch(/tally, revision \w+: dollars a month, prices of us-east-1/)
    expect(said).toMatch(/Kinesis shards between stages +1,460 x shard-hour +\$21.90/)
    expect(said).toMatch(/\n {2}All +\$\d+\.\d\d\n/)
    expect(said).toContain('Not in it:')
  })

  it('takes no size of records that it is not told of', async () => {
    await expect(costCommand({ stack: 'shop', recordBytes: 300 })).rejects.toThrow(/OPTION_INVALID: --record-bytes/)
  })

  it('says when it is not known what was deployed', async () => {
    await expect(costOf()).rejects.toThrow(/DEPLOYMENT_NOT_FOUND: it is not known what job "tally" was deployed with/)
  })
})
