import { EVENT_BYTES } from '../bench/keyed-sum.js'
import type { Estimate } from './estimate.js'

/** The estimate for people. */
export function report(found: Estimate): string {
  const { options, lines, functions, monthlyUsd, dataUsd, coordinationUsd, monitoringUsd, managedFlink } = found
  const { rate, keys, parallelism, profile, windowSec, checkpointSec } = options
  const rows = [...lines]
    .filter(({ quantity }) => quantity > 0)
    .sort((a, b) => b.usd - a.usd)
    .map((line) => row(line.name, `${amount(line.quantity)} x ${line.unit}`, line.usd))
  const perFunction = Object.entries(functions).map(
    ([name, f]) =>
      `  ${name.padEnd(8)} ${f.memoryMb} MB, ${amount(f.invocationsPerSecond)} invocations/s, CPU ${f.cpuMsMedian.toFixed(1)} ms (most ${f.cpuMsMax.toFixed(1)}), ` +
      `${f.callsPerInvocation.toFixed(1)} calls in a row`,
  )
  return [
    `${amount(rate)} events/s of ${EVENT_BYTES} bytes, ${amount(keys)} keys, profile ${profile}, ${found.sourceShards} source shard(s) (not counted), ${parallelism} keyed subtask(s),`,
    `a batch a shard every ${windowSec} s, ${checkpointSec === 0 ? 'no checkpoints' : `a checkpoint every ${checkpointSec} s`}. Prices of ${found.region}, ${found.pricesAsOf}, without free tiers.`,
    '',
    ...rows,
    row('Together', '', monthlyUsd),
    row("  the data's way", '', dataUsd),
    row('  coordination', '', coordinationUsd),
    row('  monitoring', '', monitoringUsd),
    row('Managed Flink', `${managedFlink.kpus} + 1 KPU`, managedFlink.usd),
    '',
    'Functions (CPU of this machine, medians):',
    ...perFunction,
    '',
    `Not compared with AWS's price pages: ${found.unverifiedPrices.join(', ')}.`,
    '',
  ].join('\n')
}

function row(name: string, quantity: string, usd: number): string {
  return `  ${name.padEnd(40)} ${quantity.padStart(44)} ${`$${usd.toFixed(2)}`.padStart(10)}`
}

function amount(n: number): string {
  return n.toLocaleString('en-US', { maximumFractionDigits: n >= 100 ? 0 : 2 })
}
