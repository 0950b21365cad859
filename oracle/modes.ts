import { firstDifference } from './compare.js'
import type { OracleCase, StoredCase } from './oracle-case.js'
import { type RunOptions, runCase } from './run-case.js'

/** Ways to run a case that must come to the expected results. */
export const MODES = ['plain', 'restore-every-step', 'batches', 'parallelism-2'] as const
export type Mode = (typeof MODES)[number]

/** Random batch splits of each case, beside whole and one by one. */
const SPLITS = 100

/** The first difference in words; undefined when the case passes, or is not for this mode. */
export async function differenceIn(mode: Mode, { case: oracleCase, expected }: StoredCase): Promise<string | undefined> {
  const rule = { order: oracleCase.compare, steps: true }
  const differs = async (options: RunOptions, { order, steps }: Parameters<typeof firstDifference>[0] = rule) =>
    firstDifference({ order, steps }, expected, await runCase(oracleCase, options))
  switch (mode) {
    case 'plain':
      return differs({})
    case 'restore-every-step':
      return differs({ restoreEveryStep: !oracleCase.steps.some(({ restore }) => restore === true) })
    case 'parallelism-2':
      return differs({ parallelism: 2 }, { order: 'per-step-multiset', steps: true })
    case 'batches':
      return differenceInBatches(oracleCase, (endsBatch) => differs({ endsBatch }, { order: oracleCase.compare, steps: false }))
  }
}

async function differenceInBatches(
  { name }: OracleCase,
  differs: (endsBatch: () => boolean) => Promise<string | undefined>,
): Promise<string | undefined> {
  const whole = await differs(() => false)
  if (whole !== undefined) return `in whole batches: ${whole}`
  const single = await differs(() => true)
  if (single !== undefined) return `one by one: ${single}`
  for (let seed = 1; seed <= SPLITS; seed++) {
    const next = randomBits(seed + name.length)
    const difference = await differs(() => next() === 1)
    if (difference !== undefined) return `batch split ${seed}: ${difference}`
  }
  return undefined
}

/** xorshift32: the same bits for a seed on any machine. */
function randomBits(seed: number): () => 0 | 1 {
  let state = Math.imul(seed, 2_654_435_761) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 7) & 1 ? 1 : 0
  }
}
