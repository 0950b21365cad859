import { EVENT_BYTES, type KeyedSumVariant } from '../bench/keyed-sum.js'
import { bill, CONTROL, cheapestMemoryMb, type Line, managedFlink, totalUsd } from './bill.js'
import { LoadRun } from './load-run.js'
import type { Invocation, Usage } from './meter.js'
import { PRICES, PRICES_AS_OF, PRICES_REGION } from './prices.js'
import { typical } from './statistics.js'

export interface EstimateOptions {
  /** Events a second. */
  readonly rate: number
  readonly keys: number
  readonly parallelism: number
  readonly profile: KeyedSumVariant
  /** Warm instances that share the work of a function. */
  readonly instances: number
  /** Seconds that a batch of a shard gathers. */
  readonly windowSec: number
  readonly checkpointSec: number
  readonly tickSec: number
  /** Checkpoint intervals that are measured. */
  readonly rounds: number
  /** Of the streams between stages; 168 is what StreamJob deploys. */
  readonly retentionHours: number
  /** Of all functions; undefined: the cheapest that keeps up. */
  readonly memoryMb: number | undefined
}

export interface Estimate {
  readonly pricesAsOf: string
  readonly region: string
  readonly unverifiedPrices: readonly string[]
  readonly options: EstimateOptions
  readonly sourceShards: number
  readonly monthlyUsd: number
  /** By group of lines. */
  readonly dataUsd: number
  readonly coordinationUsd: number
  readonly monitoringUsd: number
  readonly lines: readonly Line[]
  readonly managedFlink: { readonly kpus: number; readonly usd: number }
  readonly functions: Readonly<Record<string, FunctionFigures>>
}

export interface FunctionFigures {
  readonly memoryMb: number
  readonly invocationsPerSecond: number
  readonly cpuMsMedian: number
  readonly cpuMsMax: number
  readonly callsPerInvocation: number
  /** Of what it did, a second. */
  readonly perSecond: Readonly<Partial<Usage>>
}

/** What of the stack has nothing to do with the load; parts go by the bucket's rule, checkpoints when newer ones are complete. */
const RETENTION = { logRetentionDays: 3, partRetentionDays: 7, checkpointRetentionDays: 1 }
/** A job without input comes to rest within the first two hours; then one hour is as the next. */
const IDLE_WARM_UP_SEC = 2 * 3_600
const IDLE_INTERVAL_SEC = 3_600

/** Runs the load in virtual time and prices what it used. */
export async function estimate(options: EstimateOptions): Promise<Estimate> {
  const { rate, keys, parallelism, profile, instances, windowSec, checkpointSec, tickSec, rounds } = options
  const load = { rate, keys, parallelism, variant: profile, instances, windowSec, checkpointMs: checkpointSec * 1_000, tickMs: tickSec * 1_000 }
  const run = new LoadRun(load)
  await run.activate()
  // Everybody is warm, the JIT too, and the first checkpoint is over.
  const interval = rate === 0 ? IDLE_INTERVAL_SEC : checkpointSec > 0 ? checkpointSec : 60
  await run.seconds(rate === 0 ? IDLE_WARM_UP_SEC : 2 * interval)
  run.meter.reset()
  const perRound: Invocation[][] = []
  for (let round = 0; round < rounds; round++) {
    await run.seconds(interval)
    perRound.push(run.meter.invocations)
    run.meter.invocations = []
  }
  const seconds = rounds * interval
  const invocations = typical(perRound)
  const names = [...new Set(['source', 'keyed', CONTROL, ...invocations.map((invocation) => invocation.function)])]
  const memoryMb = Object.fromEntries(
    names.map((name) => [name, options.memoryMb ?? cheapestMemoryMb(invocations.filter((i) => i.function === name))]),
  )
  const usage = scaled(
    run.meter.usageOf((name) => name !== CONTROL),
    interval / seconds,
  )
  const control = scaled(
    run.meter.usageOf((name) => name === CONTROL),
    interval / seconds,
  )
  const stack = { shards: parallelism, extendedRetention: options.retentionHours > 24, queues: 2, memoryMb, ...RETENTION }
  const lines = bill({ seconds: interval, usage, control, invocations }, stack)
  const inGroup = (group: Line['group']) => totalUsd(lines.filter((line) => line.group === group))
  return {
    pricesAsOf: PRICES_AS_OF,
    region: PRICES_REGION,
    unverifiedPrices: Object.entries(PRICES).flatMap(([name, { checked }]) => (checked ? [] : [name])),
    options,
    sourceShards: run.sourceShards,
    monthlyUsd: totalUsd(lines),
    dataUsd: inGroup('data'),
    coordinationUsd: inGroup('coordination'),
    monitoringUsd: inGroup('monitoring'),
    lines,
    managedFlink: managedFlink(rate * EVENT_BYTES),
    functions: Object.fromEntries(names.map((name) => [name, figures(name, invocations, memoryMb[name], interval, run.meter.of(name), seconds)])),
  }
}

function figures(name: string, all: readonly Invocation[], memoryMb: number, interval: number, usage: Usage, seconds: number): FunctionFigures {
  const own = all.filter((invocation) => invocation.function === name)
  const cpu = own.map(({ cpuMs }) => cpuMs).sort((a, b) => a - b)
  const used = Object.entries(usage).filter(([, amount]) => amount > 0)
  return {
    memoryMb,
    invocationsPerSecond: own.length / interval,
    cpuMsMedian: cpu[cpu.length >> 1] ?? 0,
    cpuMsMax: cpu.at(-1) ?? 0,
    callsPerInvocation: own.length === 0 ? 0 : own.reduce((sum, { calls }) => sum + calls, 0) / own.length,
    perSecond: Object.fromEntries(used.map(([counter, amount]) => [counter, amount / seconds])),
  }
}

function scaled(usage: Usage, factor: number): Usage {
  return Object.fromEntries(Object.entries(usage).map(([counter, amount]) => [counter, amount * factor])) as Usage
}
