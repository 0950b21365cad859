import type { Invocation, Usage } from './meter.js'
import { HOURS_A_MONTH, PRICES, type PriceName, priceOf } from './prices.js'
import { billedMs, gbSeconds } from './units.js'

const SECONDS_A_MONTH = HOURS_A_MONTH * 3_600
const GB = 1e9
const GIB = 2 ** 30

/** A line of the bill: so much a month. */
export interface Line {
  readonly name: string
  /** What it is for, so that coordination and monitoring can be told from the data's way. */
  readonly group: 'data' | 'coordination' | 'monitoring'
  readonly quantity: number
  readonly unit: string
  readonly usd: number
}

/** What was used in a stretch of time. */
export interface Measured {
  readonly seconds: number
  /** Of the functions of the stages. */
  readonly usage: Usage
  /** Of what begins checkpoints and ticks. */
  readonly control: Usage
  /** One round of the invocations within those seconds. */
  readonly invocations: readonly Invocation[]
}

/** The function that begins checkpoints and ticks. */
export const CONTROL = 'control'

/** What the deployed stack is, apart from what runs through it. */
export interface Stack {
  /** Of streams between stages; the source's stream is somebody else's. */
  readonly shards: number
  /** Beyond the 24 hours that a shard-hour includes. */
  readonly extendedRetention: boolean
  /** Queues of pokes, each of which Lambda polls. */
  readonly queues: number
  /** Of each function, MB. */
  readonly memoryMb: Readonly<Record<string, number>>
  /** How long the table keeps items. */
  readonly logRetentionDays: number
  /** How long the bucket keeps what items of the log are too small for, and what former checkpoints are made of. */
  readonly partRetentionDays: number
  readonly checkpointRetentionDays: number
}

/** Lambda polls a queue with five long polls of 20 s side by side, also when it is empty. */
const EMPTY_POLLS_A_SECOND = 5 / 20

/** The bill of a month of which the measured stretch is typical. */
export function bill({ seconds, usage, control, invocations }: Measured, stack: Stack): Line[] {
  const monthly = (amount: number) => (amount / seconds) * SECONDS_A_MONTH
  const line = (name: string, group: Line['group'], price: PriceName, quantity: number): Line => {
    return { name, group, quantity, unit: PRICES[price].unit, usd: priceOf(price, quantity) }
  }
  const keptGb = (bytes: number, days: number) => ((bytes / seconds) * days * 24 * 3_600) / GB
  const shardHours = stack.shards * HOURS_A_MONTH
  const tableGb = keptGb(usage.dynamoWrittenBytes + control.dynamoWrittenBytes, stack.logRetentionDays)
  const gbSecondsOf = (ofControl: boolean) =>
    lambdaGbSeconds(
      invocations.filter((i) => (i.function === CONTROL) === ofControl),
      stack.memoryMb,
    )
  // Where no stage does anything, all that is left is to look whether one should.
  const watching = usage.lambdaRequests === 0 ? 'monitoring' : 'coordination'
  return [
    line('Kinesis shards between stages', 'data', 'shardHour', shardHours),
    line('Kinesis retention of 7 days', 'data', 'shardHourRetention', stack.extendedRetention ? shardHours : 0),
    line('Kinesis PutRecords', 'data', 'kinesisPutUnit', monthly(usage.kinesisPutUnits)),
    line('DynamoDB writes', 'data', 'dynamoWriteUnit', monthly(usage.dynamoWriteUnits)),
    line('DynamoDB reads', 'data', 'dynamoReadUnit', monthly(usage.dynamoReadUnits)),
    line('DynamoDB storage', 'data', 'dynamoStorage', tableGb),
    line('DynamoDB point-in-time recovery', 'data', 'dynamoRecovery', tableGb),
    line('S3 PUT', 'data', 's3Put', monthly(usage.s3Puts + usage.s3Lists)),
    line('S3 GET', 'data', 's3Get', monthly(usage.s3Gets)),
    line('S3 storage of parts', 'data', 's3Storage', keptGb(usage.s3PartBytes, stack.partRetentionDays)),
    line(
      'S3 storage of checkpoints',
      'data',
      's3Storage',
      keptGb(usage.s3CheckpointBytes + control.s3CheckpointBytes, stack.checkpointRetentionDays),
    ),
    line('Lambda requests', 'data', 'lambdaRequest', monthly(usage.lambdaRequests)),
    line('Lambda duration', 'data', 'lambdaGbSecond', monthly(gbSecondsOf(false))),
    line('SQS pokes', 'coordination', 'sqsRequest', monthly(usage.sqsRequests + control.sqsRequests)),
    line('Control: Lambda requests', watching, 'lambdaRequest', monthly(control.lambdaRequests)),
    line('Control: Lambda duration', watching, 'lambdaGbSecond', monthly(gbSecondsOf(true))),
    line('Control: DynamoDB writes', watching, 'dynamoWriteUnit', monthly(control.dynamoWriteUnits)),
    line('Control: DynamoDB reads', watching, 'dynamoReadUnit', monthly(control.dynamoReadUnits)),
    line('Control: S3 PUT', watching, 's3Put', monthly(control.s3Puts + control.s3Lists)),
    line('Control: S3 GET', watching, 's3Get', monthly(control.s3Gets)),
    line('Control: Step Functions requests', watching, 'machineRequest', monthly(control.machineRequests)),
    line('Control: Step Functions duration', watching, 'machineGbSecond', monthly(control.machineGbSeconds)),
    line('Control: EventBridge rules', watching, 'scheduledRule', monthly(control.scheduledRules)),
    line('SQS, empty polls by Lambda', 'monitoring', 'sqsRequest', stack.queues * EMPTY_POLLS_A_SECOND * SECONDS_A_MONTH),
    line('CloudWatch Logs', 'monitoring', 'logsGb', monthly(usage.logBytes + control.logBytes) / GIB),
  ]
}

export function lambdaGbSeconds(invocations: readonly Invocation[], memoryMb: Stack['memoryMb']): number {
  return invocations.reduce((sum, invocation) => {
    const memory = memoryMb[invocation.function]
    return sum + gbSeconds(billedMs(invocation, memory), memory)
  }, 0)
}

/** Below this a Node function with the clients of four services is short of memory. */
const LEAST_MEMORY_MB = 256
const MEMORIES_MB = [LEAST_MEMORY_MB, 512, 1024, 1769]

/** The cheapest memory with which each invocation takes at most so long: batches come once a second, and some room must be left. */
export function cheapestMemoryMb(invocations: readonly Invocation[], longestMs = 500): number {
  return MEMORIES_MB.find((memory) => invocations.every((invocation) => billedMs(invocation, memory) <= longestMs)) ?? (MEMORIES_MB.at(-1) as number)
}

export function totalUsd(lines: readonly Line[]): number {
  return lines.reduce((sum, { usd }) => sum + usd, 0)
}

/** A KPU takes about so much of a simple job, as AWS advises to begin with. */
const KPU_BYTES_A_SECOND = 1e6
const STORAGE_GB_A_KPU = 50

/** Managed Flink for the same load: whole KPUs, one more for orchestration, and their storage. */
export function managedFlink(bytesPerSecond: number): { readonly kpus: number; readonly usd: number } {
  const kpus = Math.max(1, Math.ceil(bytesPerSecond / KPU_BYTES_A_SECOND))
  return { kpus, usd: priceOf('flinkKpuHour', (kpus + 1) * HOURS_A_MONTH) + priceOf('flinkStorage', kpus * STORAGE_GB_A_KPU) }
}
