import { HOURS_A_MONTH, PRICES, type PriceName, priceOf } from './prices.js'
import { gbSeconds, putUnits, writeUnits } from './units.js'

/** A deployed job, as far as its price hangs on it. */
export interface DeployedJobShape {
  readonly stages: readonly DeployedStageShape[]
  readonly controlMemoryMb: number
  /** Of the streams between stages. */
  readonly frameRetentionHours: number
  readonly checkpointMinutes: number
  /** Metrics that alarms watch. */
  readonly alarms: number
  readonly dashboards: number
}

export interface DeployedStage {
  readonly stage: string
  readonly isSource: boolean
  /** Of a source: the shards (splits) that are read. */
  readonly subtasks: number
  /** Ids of the stages that it sends to. */
  readonly sendsTo: readonly string[]
}

export interface DeployedStageShape extends DeployedStage {
  readonly memoryMb: number
  readonly batchingWindowSeconds: number
  /** Its stream has a consumer of its own. */
  readonly fanOut: boolean
}

/** What a stage does, a second. */
export interface StageLoad {
  readonly commits: number
  /** Write request units of the table, and its bytes. */
  readonly writeUnits: number
  readonly writtenBytes: number
  /** Commits that send frames or results. */
  readonly sending: number
  /** Blobs of what was too large for the table, and their bytes. */
  readonly blobs: number
  readonly blobBytes: number
}

export interface DeployedLine {
  readonly name: string
  /** `fixed`: whether records come or not. */
  readonly group: 'fixed' | 'traffic'
  /** In the table of prices. */
  readonly price: PriceName
  readonly quantity: number
  readonly unit: string
  readonly usd: number
}

const SECONDS_A_MONTH = HOURS_A_MONTH * 3_600
const GB = 1e9
/** Lambda polls a queue with five long polls of 20 s side by side, also when it is empty. */
const EMPTY_POLLS_A_SECOND = 5 / 20
/** The functions look for work each minute, and once more each hour. */
const TICKS_A_SECOND = 1 / 60 + 1 / 3_600
/** How long table and bucket keep what commits wrote. */
const LOG_DAYS = 3
const PART_DAYS = 7
/** Of a look at a job in which nothing happens. */
const TICK_MS = 60
/** A checkpoint: begun, then asked after twice; the state machine waits as long with it. */
const CHECKPOINT_CALLS = 3
const CHECKPOINT_CALL_MS = 120
const CHECKPOINT_SECONDS = 5
const MACHINE_GB = 64 / 1_024

/** What a job costs a month. `load`: by stage; undefined: only what it costs whether records come or not. */
export function deployedBill(
  job: DeployedJobShape,
  load: Readonly<Record<string, StageLoad>> | undefined,
  invocationMs: number,
): readonly DeployedLine[] {
  const lines = [...fixedLines(job), ...(load === undefined ? [] : trafficLines(job, load, invocationMs))]
  return lines.filter(({ quantity }) => quantity > 0)
}

function line(group: DeployedLine['group'], name: string, price: PriceName, quantity: number): DeployedLine {
  return { name, group, price, quantity, unit: PRICES[price].unit, usd: priceOf(price, quantity) }
}

function fixedLines({ stages, frameRetentionHours, alarms, dashboards, controlMemoryMb }: DeployedJobShape): readonly DeployedLine[] {
  const fixed = (name: string, price: PriceName, quantity: number) => line('fixed', name, price, quantity)
  const shards = sumOf(stages, ({ isSource, subtasks }) => (isSource ? 0 : subtasks)) * HOURS_A_MONTH
  const consumers = sumOf(stages, ({ fanOut, subtasks }) => (fanOut ? subtasks : 0)) * HOURS_A_MONTH
  const ticks = TICKS_A_SECOND * SECONDS_A_MONTH
  const subtasks = sumOf(stages, (stage) => stage.subtasks)
  return [
    fixed('Kinesis shards between stages', 'shardHour', shards),
    fixed('Kinesis retention beyond a day', 'shardHourRetention', frameRetentionHours > 24 ? shards : 0),
    fixed('Kinesis consumers (enhanced fan-out)', 'fanOutShardHour', consumers),
    fixed('SQS, empty polls by Lambda', 'sqsRequest', stages.length * EMPTY_POLLS_A_SECOND * SECONDS_A_MONTH),
    fixed('Ticks: Lambda requests', 'lambdaRequest', ticks),
    fixed('Ticks: Lambda duration', 'lambdaGbSecond', ticks * gbSeconds(TICK_MS, controlMemoryMb)),
    fixed('Ticks: DynamoDB reads', 'dynamoReadUnit', ticks * (1 + subtasks)),
    fixed('CloudWatch alarms', 'alarm', alarms),
    fixed('CloudWatch dashboards', 'dashboard', dashboards),
  ]
}

function trafficLines(job: DeployedJobShape, load: Readonly<Record<string, StageLoad>>, invocationMs: number): readonly DeployedLine[] {
  const of = (stage: string): StageLoad => load[stage] ?? NO_LOAD
  const monthly = (amount: (stage: DeployedStageShape) => number) => sumOf(job.stages, amount) * SECONDS_A_MONTH
  const traffic = (name: string, price: PriceName, quantity: number) => line('traffic', name, price, quantity)
  const subtasks = new Map(job.stages.map((stage) => [stage.stage, stage.subtasks]))
  const frames = ({ stage, sendsTo }: DeployedStageShape) => of(stage).sending * sumOf(sendsTo, (to) => subtasks.get(to) ?? 0)
  const keptGb = (bytes: (stage: DeployedStageShape) => number, days: number) => (sumOf(job.stages, bytes) * days * 24 * 3_600) / GB
  const tableGb = keptGb(({ stage }) => of(stage).writtenBytes, LOG_DAYS)
  return [
    traffic(
      'Lambda requests',
      'lambdaRequest',
      monthly(({ stage }) => of(stage).commits),
    ),
    traffic(
      'Lambda duration',
      'lambdaGbSecond',
      monthly(({ stage, memoryMb }) => of(stage).commits * gbSeconds(invocationMs, memoryMb)),
    ),
    traffic(
      'DynamoDB writes',
      'dynamoWriteUnit',
      monthly(({ stage }) => of(stage).writeUnits),
    ),
    // Each invocation looks whether others have committed.
    traffic(
      'DynamoDB reads',
      'dynamoReadUnit',
      monthly(({ stage }) => of(stage).commits),
    ),
    traffic('DynamoDB storage', 'dynamoStorage', tableGb),
    traffic('DynamoDB point-in-time recovery', 'dynamoRecovery', tableGb),
    traffic(
      'S3 PUT of large parts',
      's3Put',
      monthly(({ stage }) => of(stage).blobs),
    ),
    traffic(
      'S3 storage of large parts',
      's3Storage',
      keptGb(({ stage }) => of(stage).blobBytes, PART_DAYS),
    ),
    traffic('Kinesis PUT units between stages', 'kinesisPutUnit', monthly(frames)),
    ...checkpointLines(job, sumOf(job.stages, ({ stage }) => of(stage).commits) > 0),
  ]
}

/** Of a job in which something happens between two checkpoints. */
function checkpointLines({ stages, checkpointMinutes, controlMemoryMb }: DeployedJobShape, happens: boolean): readonly DeployedLine[] {
  const count = happens ? SECONDS_A_MONTH / 60 / checkpointMinutes : 0
  const subtasks = sumOf(stages, (stage) => stage.subtasks)
  const checkpoints = (name: string, price: PriceName, quantity: number) => line('traffic', `Checkpoints: ${name}`, price, quantity)
  return [
    checkpoints('Lambda requests', 'lambdaRequest', count * CHECKPOINT_CALLS),
    checkpoints('Lambda duration', 'lambdaGbSecond', count * CHECKPOINT_CALLS * gbSeconds(CHECKPOINT_CALL_MS, controlMemoryMb)),
    // The job record three times; each subtask is told, and acknowledges.
    checkpoints('DynamoDB writes', 'dynamoWriteUnit', count * (3 + 2 * subtasks)),
    checkpoints('DynamoDB reads', 'dynamoReadUnit', count * (2 * CHECKPOINT_CALLS + subtasks)),
    // The manifest, and a segment each.
    checkpoints('S3 PUT', 's3Put', count * (1 + subtasks)),
    checkpoints('SQS pokes', 'sqsRequest', count * 3 * subtasks),
    checkpoints('Step Functions requests', 'machineRequest', count),
    checkpoints('Step Functions duration', 'machineGbSecond', count * CHECKPOINT_SECONDS * MACHINE_GB),
  ]
}

const NO_LOAD: StageLoad = { commits: 0, writeUnits: 0, writtenBytes: 0, sending: 0, blobs: 0, blobBytes: 0 }

/** What is taken of records when only their rate and size are known. */
export interface AssumedRecords {
  /** Of all sources together, a second. */
  readonly rate: number
  readonly bytes: number
}

/** Of a record's bytes so much goes on to the next stage, and into the log of who sends it; */
export const CROSSING = 0.5
/** and so much is what it changes of a stage's state. */
export const CHANGING = 0.1
/** More than this stands in a blob, not in the table. */
const INLINE_BYTES = 8 * 1_024
const COMMIT_BYTES = 400

/** The load by stage that so many records would be, each of which every stage takes. */
export function assumedLoad({ stages }: DeployedJobShape, { rate, bytes }: AssumedRecords): Readonly<Record<string, StageLoad>> {
  const sources = stages.filter(({ isSource }) => isSource).length
  const loads = stages.map(({ stage, isSource, subtasks, batchingWindowSeconds, sendsTo }): [string, StageLoad] => {
    const records = isSource ? rate / sources : rate
    // A shard is polled once a second, or as long as batches gather.
    const commits = Math.min(records, Math.max(1, subtasks) / Math.max(1, batchingWindowSeconds))
    const each = commits === 0 ? 0 : (records / commits) * bytes * ((isSource ? 0 : CHANGING) + (sendsTo.length > 0 ? CROSSING : 0))
    const aside = each > INLINE_BYTES
    const item = COMMIT_BYTES + (aside ? 0 : each)
    return [
      stage,
      {
        commits,
        writeUnits: commits * writeUnits(item),
        writtenBytes: commits * item,
        sending: sendsTo.length > 0 ? commits * putUnits(each / Math.max(1, subtasks)) : 0,
        blobs: aside ? commits : 0,
        blobBytes: aside ? commits * each : 0,
      },
    ]
  })
  return Object.fromEntries(loads)
}

function sumOf<T>(items: readonly T[], amount: (item: T) => number): number {
  return items.reduce((sum, item) => sum + amount(item), 0)
}
