import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { type JobEvent, type JobResult, MillraceError, run } from 'millrace'
import type { MillraceBenchResult } from './bench-result.js'
import { addHashes, HASH_COUNTER, OUTPUTS_COUNTER } from './hash-sink.js'
import { JOB_MODULES, type JobName, jobModuleUrl } from './jobs/index.js'
import { machine, machineBusySec, millraceVersion, processCpuSec } from './machine.js'
import { FIRST_POLL_GAUGE, preciseNow } from './timed-source.js'

export interface BenchOptions {
  readonly events: number
  readonly parallelism: number
  /** Checkpoint interval, ms; 0: none. */
  readonly checkpoint: number
  /** Events a second of event time. */
  readonly eps: number
  /** Worker threads; left out: the engine's default. */
  readonly threads?: number | undefined
}

type CompletedCheckpoint = Extract<JobEvent, { kind: 'checkpoint-completed' }>

/** Runs a benchmark job once in this process. Checkpoints go to a temporary folder that is removed. */
export async function runBench(jobName: JobName, options: BenchOptions): Promise<MillraceBenchResult> {
  const checkpointDir = options.checkpoint > 0 ? await mkdtemp(path.join(os.tmpdir(), 'millrace-bench-')) : undefined
  try {
    return await measure(jobName, options, checkpointDir)
  } finally {
    if (checkpointDir !== undefined) await rm(checkpointDir, { recursive: true, force: true })
  }
}

async function measure(jobName: JobName, options: BenchOptions, checkpointDir: string | undefined): Promise<MillraceBenchResult> {
  const checkpoints: CompletedCheckpoint[] = []
  const cpuAtStart = process.cpuUsage()
  const busyAtStart = machineBusySec()
  const submittedAtMs = preciseNow()
  // Inside the measured time: the job's module prepares the generators' tables.
  const { default: job } = await JOB_MODULES[jobName]()
  const handle = await run(job, {
    parallelism: options.parallelism,
    parameters: { events: String(options.events), eps: String(options.eps) },
    jobModule: jobModuleUrl(jobName),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(checkpointDir === undefined ? {} : { checkpointDir, checkpointIntervalMs: options.checkpoint }),
    onEvent: (event) => {
      if (event.kind === 'checkpoint-completed') checkpoints.push(event)
    },
  })
  const result = await handle.result()
  const finishedAtMs = preciseNow()
  const cpuSec = processCpuSec(cpuAtStart)
  const busySec = machineBusySec() - busyAtStart
  const runSec = (finishedAtMs - firstPollAtMs(result, submittedAtMs)) / 1000
  return {
    engine: `millrace-${millraceVersion()}`,
    job: jobName,
    events: options.events,
    parallelism: options.parallelism,
    threads: options.threads ?? null,
    state: 'heap',
    checkpointMs: options.checkpoint,
    eps: options.eps,
    runSec: roundToMs(runSec),
    submitToDoneSec: roundToMs((finishedAtMs - submittedAtMs) / 1000),
    eventsPerSec: Math.round(options.events / runSec),
    cpuSec: roundToMs(cpuSec),
    otherCpuSec: roundToMs(Math.max(0, busySec - cpuSec)),
    eventsPerCpuSec: Math.round(options.events / cpuSec),
    maxRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
    ...sinkTotals(result),
    ...(checkpointDir === undefined ? {} : checkpointFigures(checkpoints, result)),
    load1: os.loadavg()[0],
    ...machine(),
  }
}

/** When the first source reader was asked for records, ms; counted from submission when no reader says. */
function firstPollAtMs(result: JobResult, submittedAtMs: number): number {
  const polls = result.metrics.operators.map((operator) => operator.gauges[FIRST_POLL_GAUGE]).filter((at) => Number.isFinite(at))
  return polls.length === 0 ? submittedAtMs : Math.max(submittedAtMs, Math.min(...polls))
}

function sinkTotals(result: JobResult): { readonly outputs: number; readonly hash: number } {
  const writers = result.metrics.operators.filter((operator) => HASH_COUNTER in operator.counters)
  if (writers.length === 0) {
    throw new MillraceError('ASSERTION', { what: 'no hash sink reported its totals', where: `metrics of job '${result.metrics.job}'` })
  }
  return writers.reduce(
    (totals, { counters }) => ({ outputs: totals.outputs + counters[OUTPUTS_COUNTER], hash: addHashes(totals.hash, counters[HASH_COUNTER]) }),
    { outputs: 0, hash: 0 },
  )
}

function checkpointFigures(checkpoints: readonly CompletedCheckpoint[], result: JobResult) {
  const durations = checkpoints.map((c) => c.durationMs)
  const bytes = checkpoints.map((c) => c.bytes)
  return {
    ckptCompleted: result.metrics.checkpoints.completed,
    ckptFailed: result.metrics.checkpoints.failed,
    ckptDurAvgMs: Math.round(average(durations)),
    ckptDurMaxMs: Math.round(Math.max(0, ...durations)),
    ckptWrittenAvgKb: Math.round(average(bytes) / 1024),
  }
}

function average(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}

function roundToMs(seconds: number): number {
  return Math.round(seconds * 1000) / 1000
}
