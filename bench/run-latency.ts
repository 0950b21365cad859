import os from 'node:os'
import { run } from 'millrace'
import { jobModuleUrl } from './jobs/index.js'
import job, { LATENCIES } from './jobs/latency.js'
import { machine, machineBusySec, millraceVersion, processCpuSec } from './machine.js'
import { monotonicMs } from './monotonic-ms.js'

export interface LatencyOptions {
  readonly events: number
  /** Events a second over all subtasks. */
  readonly rate: number
  readonly parallelism: number
  /** How long a record may wait in a batch, ms. */
  readonly bufferTimeout: number
  readonly threads?: number | undefined
}

/** From submission to the first record, ms: the threads are up by then, and what is late is warm-up. */
const LEAD_MS = 500

/** One run as a line of JSON; Flink's peer uses the same names. Latency is from the scheduled emission to the sink. */
export interface LatencyResult {
  readonly engine: string
  readonly job: 'latency'
  readonly events: number
  readonly rate: number
  readonly parallelism: number
  readonly threads: number | null
  readonly bufferTimeoutMs: number
  readonly samples: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly cpuSec: number
  readonly otherCpuSec: number
  readonly load1: number
  readonly node: string
  readonly cpu: string
  readonly cores: number
}

export async function runLatency(options: LatencyOptions): Promise<LatencyResult> {
  const { events, rate, parallelism, bufferTimeout, threads } = options
  const cpuAtStart = process.cpuUsage()
  const busyAtStart = machineBusySec()
  const handle = await run(job, {
    parallelism,
    bufferTimeoutMs: bufferTimeout,
    parameters: { events: String(events), rate: String(rate), start: String(monotonicMs() + LEAD_MS) },
    jobModule: jobModuleUrl('latency'),
    ...(threads === undefined ? {} : { threads }),
  })
  const { accumulators } = await handle.result()
  const cpuSec = processCpuSec(cpuAtStart)
  const busySec = machineBusySec() - busyAtStart
  const latencies = accumulators[LATENCIES] as ReadonlyMap<number, number>
  return {
    engine: `millrace-${millraceVersion()}`,
    job: 'latency',
    events,
    rate,
    parallelism,
    threads: threads ?? null,
    bufferTimeoutMs: bufferTimeout,
    samples: [...latencies.values()].reduce((sum, n) => sum + n, 0),
    p50Ms: quantileMs(latencies, 0.5),
    p90Ms: quantileMs(latencies, 0.9),
    p99Ms: quantileMs(latencies, 0.99),
    p999Ms: quantileMs(latencies, 0.999),
    cpuSec: Math.round(cpuSec * 1000) / 1000,
    otherCpuSec: Math.round(Math.max(0, busySec - cpuSec) * 1000) / 1000,
    load1: os.loadavg()[0],
    ...machine(),
  }
}

/** The least latency that a share `q` of the samples does not exceed; NaN for none. `latencies`: samples by microseconds, ascending. */
export function quantileMs(latencies: ReadonlyMap<number, number>, q: number): number {
  const total = [...latencies.values()].reduce((sum, n) => sum + n, 0)
  let seen = 0
  for (const [us, n] of latencies) {
    seen += n
    if (seen >= q * total) return us / 1000
  }
  return Number.NaN
}
