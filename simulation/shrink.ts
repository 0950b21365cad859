import type { FaultKind } from './faults.js'
import { runOnce, type SeedOptions, type SeedResult } from './run.js'

/** The shortest run that still breaks the same invariant: fewer decisions, fewer kinds of faults, faults that end earlier. */
export async function shrink(
  options: SeedOptions,
  found: SeedResult,
  tries = 60,
): Promise<{ readonly options: SeedOptions; readonly result: SeedResult }> {
  const invariant = found.violation?.invariant
  if (invariant === 'repeat') return { options, result: found }
  let best: { readonly options: SeedOptions; readonly result: SeedResult } = { options: { ...options, profile: found.profile }, result: found }
  let left = tries
  const attempt = async (candidate: SeedOptions): Promise<boolean> => {
    if (left-- <= 0) return false
    const result = await runOnce(candidate, true)
    if (result.violation?.invariant !== invariant) return false
    best = { options: candidate, result }
    return true
  }
  for (const kind of found.faults.keys()) await attempt({ ...best.options, without: [...(best.options.without ?? []), kind as FaultKind] })
  for (let decisions = 1; decisions < 8; decisions++) if (await attempt({ ...best.options, decisions })) break
  for (const minutes of [1, 5, 20, 60]) if (await attempt({ ...best.options, faultsForMs: minutes * 60_000 })) break
  return best
}

export function commandOf({ seed, profile, kind, without, decisions, faultsForMs, records }: SeedOptions): string {
  const parts = ['npm run simulate --', `--seeds ${seed}-${seed}`]
  if (profile !== undefined) parts.push(`--profile ${profile}`)
  if (kind !== undefined) parts.push(`--kind ${kind}`)
  if (without !== undefined && without.length > 0) parts.push(`--without ${without.join(',')}`)
  if (decisions !== undefined) parts.push(`--decisions ${decisions}`)
  if (records !== undefined) parts.push(`--records ${records}`)
  if (faultsForMs !== undefined) parts.push(`--faults-for ${faultsForMs}`)
  return parts.join(' ')
}
