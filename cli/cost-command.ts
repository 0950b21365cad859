import { assumedLoad, CHANGING, CROSSING, type DeployedJobShape, type DeployedLine, deployedBill, type StageLoad } from '../cost/deployed-bill.js'
import { PRICES, PRICES_AS_OF, PRICES_REGION } from '../cost/prices.js'
import type { StageUsage, UsageAnswer } from '../functions/job-usage.js'
import { MillraceError } from '../runtime/core/index.js'
import { DeployedJob } from './deployed-job.js'
import type { DeployedFlags } from './deployed-target.js'
import { printJson, printLines } from './print.js'
import { wrongCommandLine } from './wrong-command-line.js'

export interface CostFlags extends DeployedFlags {
  /** Records a second of all sources together; without it, what the logs say of the last hour. */
  readonly rate?: number
  readonly recordBytes?: number
  readonly invocationMs?: number
  readonly json?: boolean
}

/** What `millrace cost --json` prints. Dollars a month of 730 hours. */
export interface CostReport {
  readonly job: string
  readonly revision: string
  readonly pricesAsOf: string
  readonly region: string
  /** Without traffic: what the job costs whether records come or not. */
  readonly monthlyUsd: number
  readonly fixedUsd: number
  /** Null: nothing is known of it. */
  readonly trafficUsd: number | null
  readonly lines: readonly DeployedLine[]
  /** What the figures rest on, as sentences. */
  readonly assumptions: readonly string[]
  /** Of the prices in these lines, those that were not compared with AWS's pages. */
  readonly unverifiedPrices: readonly string[]
}

const RECORD_BYTES = 200
const INVOCATION_MS = 50

/** `millrace cost --stack …`: what the deployed job costs a month, by line, and what that rests on. */
export async function costCommand(flags: CostFlags): Promise<void> {
  if (flags.recordBytes !== undefined && flags.rate === undefined) {
    throw wrongCommandLine(
      '--record-bytes says how large the records of --rate are',
      'Add --rate N, records a second; without it the traffic is what the logs say.',
    )
  }
  const usage = await (await DeployedJob.find(flags)).ask<UsageAnswer>({ command: 'usage' })
  const report = costReport(usage, flags)
  if (flags.json === true) printJson(report)
  else printLines(describe(report))
}

/** Throws DEPLOYMENT_NOT_FOUND for a job of which it is not known what was deployed. */
export function costReport(usage: UsageAnswer, { rate, recordBytes = RECORD_BYTES, invocationMs = INVOCATION_MS }: CostFlags): CostReport {
  const shape = shapeOf(usage)
  const seen = usage.stages.some(({ traffic }) => traffic !== null)
  const load = rate === undefined ? (seen ? seenLoad(usage.stages) : undefined) : assumedLoad(shape, { rate, bytes: recordBytes })
  const lines = deployedBill(shape, load, invocationMs)
  const total = (group?: DeployedLine['group']) =>
    lines.filter((line) => group === undefined || line.group === group).reduce((sum, { usd }) => sum + usd, 0)
  const traffic =
    rate !== undefined
      ? assumedRecords(rate, recordBytes)
      : seen
        ? [`Traffic as in the last ${minutes(usage.stages)} of the logs, all month.`]
        : ['Nothing has come in the last hour, so what records cost is not in it: give --rate (records a second) and --record-bytes.']
  return {
    job: usage.job,
    revision: usage.revision,
    pricesAsOf: PRICES_AS_OF,
    region: PRICES_REGION,
    monthlyUsd: total(),
    fixedUsd: total('fixed'),
    trafficUsd: load === undefined ? null : total('traffic'),
    lines,
    assumptions: [
      ...traffic,
      ...(load === undefined
        ? []
        : [`An invocation a commit, each of ${invocationMs} ms (--invocation-ms): what they take is the metric Duration of AWS/Lambda.`]),
      ...(shape.stages.some(({ fanOut }) => fanOut) ? ['What consumers (enhanced fan-out) read is billed by GB, too, which is not in it.'] : []),
      ...(shape.frameRetentionHours > 168 ? ['Retention beyond 7 days is billed by what is kept, too, which is not in it.'] : []),
      'Not in it: the streams, tables and buckets that sources and sinks are bound to, logs, metrics, data transfer, keys, taxes, free tiers, discounts.',
    ],
    unverifiedPrices: unverified(lines),
  }
}

function shapeOf({ job, settings, stages }: UsageAnswer): DeployedJobShape {
  if (settings === null) {
    throw new MillraceError('DEPLOYMENT_NOT_FOUND', {
      what: `it is not known what job "${job}" was deployed with`,
      todo: 'Deploy it once more with this version of StreamJob.',
    })
  }
  const { memoryMb, batchingWindowSeconds, fanOut, ...rest } = settings
  return {
    ...rest,
    stages: stages.map(({ stage, isSource, subtasks, sendsTo }) => ({
      ...{ stage, isSource, subtasks, sendsTo, fanOut: fanOut.includes(stage) },
      memoryMb: memoryMb[stage] ?? rest.controlMemoryMb,
      batchingWindowSeconds: batchingWindowSeconds[stage] ?? 0,
    })),
  }
}

function seenLoad(stages: readonly StageUsage[]): Readonly<Record<string, StageLoad>> {
  return Object.fromEntries(stages.flatMap(({ stage, traffic }) => (traffic === null ? [] : [[stage, traffic]])))
}

function minutes(stages: readonly StageUsage[]): string {
  const longest = Math.max(...stages.map(({ traffic }) => traffic?.overMs ?? 0))
  return longest < 120_000 ? `${Math.round(longest / 1_000)} seconds` : `${Math.round(longest / 60_000)} minutes`
}

function assumedRecords(rate: number, bytes: number): readonly string[] {
  return [
    `${rate} records a second of ${bytes} bytes, each of which every stage takes, all month; a batch a shard a second, or when it has gathered.`,
    `Of a record's bytes ${CROSSING * 100} % go to each stage behind, and ${CHANGING * 100} % are what it changes of state.`,
  ]
}

function unverified(lines: readonly DeployedLine[]): readonly string[] {
  return [...new Set(lines.map(({ price }) => price).filter((price) => !PRICES[price].checked))]
}

function describe({
  job,
  revision,
  lines,
  fixedUsd,
  trafficUsd,
  monthlyUsd,
  pricesAsOf,
  region,
  assumptions,
  unverifiedPrices,
}: CostReport): string[] {
  const row = (name: string, quantity: string, usd: number) => `  ${name.padEnd(38)} ${quantity.padStart(42)} ${`$${usd.toFixed(2)}`.padStart(10)}`
  const group = (which: DeployedLine['group']) =>
    lines
      .filter((line) => line.group === which)
      .toSorted((a, b) => b.usd - a.usd)
      .map(({ name, quantity, unit, usd }) => row(name, `${amount(quantity)} x ${unit}`, usd))
  return [
    `${job}, revision ${revision}: dollars a month, prices of ${region}, ${pricesAsOf}`,
    'Whether records come or not:',
    ...group('fixed'),
    row('together', '', fixedUsd),
    ...(trafficUsd === null ? [] : ['For what comes:', ...group('traffic'), row('together', '', trafficUsd), row('All', '', monthlyUsd)]),
    ...assumptions,
    ...(unverifiedPrices.length === 0 ? [] : [`Not compared with AWS's price pages: ${unverifiedPrices.join(', ')}.`]),
  ]
}

function amount(n: number): string {
  return n.toLocaleString('en-US', { maximumFractionDigits: n >= 100 ? 0 : 2 })
}
