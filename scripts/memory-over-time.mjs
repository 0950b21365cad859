// Whether memory stays flat: ipcount at a steady rate with checkpoints every second, heap and resident size sampled all the while.
//   node --expose-gc scripts/memory-over-time.mjs [--minutes 10] [--rate 100000]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { defineJob, generatorSource, run, TumblingEventTimeWindows, WatermarkStrategy } from 'millrace'
import { accessLine } from '../dist/bench/generator/index.js'
import { parseAccess } from '../dist/bench/jobs/access.js'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' }, rate: { type: 'string', default: '100000' } } })
const durationMs = Number(values.minutes) * 60_000
const rate = Number(values.rate)
if (globalThis.gc === undefined) throw new Error('run it with node --expose-gc')

let windows = 0
const job = defineJob('memory', (env) => {
  env
    .fromSource(
      generatorSource({ count: Number.POSITIVE_INFINITY, ratePerSecond: rate, generate: (i) => accessLine(i, 10_000) }),
      WatermarkStrategy.noWatermarks(),
      'lines',
    )
    .map(parseAccess)
    .assignTimestampsAndWatermarks(WatermarkStrategy.forBoundedOutOfOrderness(1000).withTimestampAssigner((access) => access.ts))
    .keyBy((access) => access.ip)
    .window(TumblingEventTimeWindows.of(5000))
    .aggregate({ createAccumulator: () => 0, add: (_, n) => n + 1, getResult: (n) => n })
    .sinkTo({ name: 'count-sink', createWriter: () => ({ write: () => void windows++, prepareCommit: () => [], close: () => {} }) })
})

const checkpointDir = mkdtempSync(join(tmpdir(), 'millrace-memory-'))
const samples = []
try {
  const handle = await run(job, { checkpointDir, checkpointIntervalMs: 1000 })
  const start = performance.now()
  while (performance.now() - start < durationMs) {
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    globalThis.gc()
    const { heapUsed, rss } = process.memoryUsage()
    samples.push({ heapMb: heapUsed / 2 ** 20, rssMb: rss / 2 ** 20 })
  }
  const { recordsIn, checkpoints } = await handle.metrics()
  await handle.cancel()
  // The first fifth is warm-up.
  const warm = samples.slice(Math.floor(samples.length / 5))
  const half = Math.floor(warm.length / 2)
  const median = (part, field) => part.map((s) => s[field]).sort((a, b) => a - b)[Math.floor(part.length / 2)]
  const growth = (field) => median(warm.slice(half), field) / median(warm.slice(0, half), field)
  const round = (n) => Math.round(n * 1000) / 1000
  const result = {
    minutes: Number(values.minutes),
    rate,
    recordsIn,
    windows,
    checkpoints: checkpoints.completed,
    samples: samples.length,
    heapMb: round(median(warm, 'heapMb')),
    rssMb: round(median(warm, 'rssMb')),
    heapGrowth: round(growth('heapMb')),
    rssGrowth: round(growth('rssMb')),
  }
  console.log(JSON.stringify(result))
  const flat = result.heapGrowth < 1.1 && result.rssGrowth < 1.1
  if (!flat) console.error('FAILED: memory grows')
  const went = windows > 0 && result.checkpoints > 0
  if (!went) console.error('FAILED: the job did nothing')
  process.exitCode = flat && went ? 0 : 1
} finally {
  rmSync(checkpointDir, { recursive: true, force: true })
}
