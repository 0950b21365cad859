import { STAGE_EVENTS } from '../runtime/task/stage-ports.js'
import { FAULT_KINDS, FAULTS } from './faults.js'
import { INVARIANTS } from './invariants.js'
import type { SeedResult } from './run.js'

/** What is kept of many seeds. Plain data, so that workers can send it. */
export interface Tally {
  seeds: number
  readonly commits: number[]
  readonly stages: number[]
  readonly faults: number[]
  readonly checkpoints: number[]
  readonly hits: Record<string, number>
  readonly violations: Failure[]
}

export interface Failure {
  readonly seed: number
  readonly profile: string
  readonly job: string
  readonly invariant: string
  readonly what: string
}

export function emptyTally(): Tally {
  return { seeds: 0, commits: [], stages: [], faults: [], checkpoints: [], hits: {}, violations: [] }
}

export function count(tally: Tally, result: SeedResult): void {
  tally.seeds++
  tally.commits.push(result.commits)
  tally.stages.push(result.stages)
  tally.checkpoints.push(result.checkpoints)
  tally.faults.push([...result.faults.values()].reduce((sum, times) => sum + times, 0))
  for (const [kind, times] of result.faults) hit(tally, `fault ${kind}`, times)
  for (const [event, times] of result.events) hit(tally, `event ${event}`, times)
  for (const [invariant, times] of result.checks) hit(tally, `invariant ${invariant}`, times)
  hit(tally, `profile ${result.profile}`, 1)
  if (result.violation !== undefined) {
    const { seed, profile, job, violation } = result
    tally.violations.push({ seed, profile, job, invariant: violation.invariant, what: violation.what })
  }
}

function hit({ hits }: Tally, name: string, times: number): void {
  hits[name] = (hits[name] ?? 0) + times
}

export function merge(into: Tally, from: Tally): void {
  into.seeds += from.seeds
  for (const list of ['commits', 'stages', 'faults', 'checkpoints'] as const) into[list].push(...from[list])
  for (const [name, times] of Object.entries(from.hits)) hit(into, name, times)
  into.violations.push(...from.violations)
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted.length === 0 ? 0 : sorted[sorted.length >> 1]
}

/** Branches to which the world never comes, and why. */
const UNREACHED: Readonly<Record<string, string>> = {
  'event frame-of-newer-attempt': 'receivers are reset before senders, and read their log before they take a frame',
  'event batch-before-activation': 'streams between stages are empty before the activation, and source mappings are made behind it',
  'event late-record-dropped': 'all windows of these jobs have a side output for what is late, which is compared',
}

/** Every fault, protocol branch and invariant with how often it was hit; `missing` are those that never were. */
export function coverage({ hits }: Tally): { readonly table: string; readonly missing: readonly string[] } {
  const rows = [
    ...FAULT_KINDS.map((kind) => [`fault ${kind}`, FAULTS[kind]] as const),
    ...STAGE_EVENTS.map((event) => [`event ${event}`, UNREACHED[`event ${event}`] ?? ''] as const),
    ...Object.entries(INVARIANTS).map(([name, what]) => [`invariant ${name}`, what] as const),
  ]
  const others = Object.keys(hits).filter((name) => !rows.some(([row]) => row === name) && !name.startsWith('profile '))
  const lines = [...rows, ...others.map((name) => [name, ''] as const)].map(
    ([name, what]) => `${String(hits[name] ?? 0).padStart(10)}  ${name}${what === '' ? '' : `: ${what}`}`,
  )
  return { table: lines.join('\n'), missing: rows.map(([name]) => name).filter((name) => (hits[name] ?? 0) === 0 && UNREACHED[name] === undefined) }
}
