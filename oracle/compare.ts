import { isDeepStrictEqual } from 'node:util'
import type { CaseResult, OracleCase, ResultItem } from './oracle-case.js'

/** `exact` and `per-step-set` are the cases' own rules; `per-step-multiset` lets everything within a step come in any order. */
export interface Rule {
  readonly order: OracleCase['compare'] | 'per-step-multiset'
  /** Whether items must come at the expected step. */
  readonly steps: boolean
}

/** The first difference in words, or undefined when the results agree by the rule. */
export function firstDifference({ order, steps }: Rule, expected: CaseResult, actual: CaseResult): string | undefined {
  if (expected.error?.step !== actual.error?.step) return `${failure('expected', expected)}, ${failure('got', actual)}`
  const names = [...new Set([...Object.keys(expected.outputs), ...Object.keys(actual.outputs)])]
  for (const name of names) {
    const prepared = (result: CaseResult) => inOrder((result.outputs[name] ?? []).map(steps ? plain : withoutStep), order)
    const wanted = prepared(expected)
    const got = prepared(actual)
    for (let i = 0; i < Math.max(wanted.length, got.length); i++) {
      if (!isDeepStrictEqual(wanted[i], got[i])) return `${name}[${i}]: expected ${text(wanted[i])}, got ${text(got[i])}`
    }
  }
  return undefined
}

function failure(who: string, { error }: CaseResult): string {
  return error === undefined ? `${who} no failure` : `${who} a failure at step ${error.step}: ${error.message ?? error.type ?? ''}`
}

/** Millrace has one value for Long.MIN as a record's timestamp and for no timestamp; Flink's side outputs make the first out of the second. */
function plain(item: ResultItem): ResultItem {
  return 'ts' in item && item.ts === 'MIN' ? { ...item, ts: null } : item
}

function withoutStep(item: ResultItem): ResultItem {
  return { ...plain(item), step: 0 }
}

/** Sorts each run of items that have no order among themselves. */
function inOrder(items: readonly ResultItem[], order: Rule['order']): readonly ResultItem[] {
  if (order === 'exact') return items
  const ordered: ResultItem[] = []
  let run: ResultItem[] = []
  const endRun = () => {
    ordered.push(...run.sort((a, b) => (canonical(a) < canonical(b) ? -1 : 1)))
    run = []
  }
  for (const item of items) {
    const hasPlace = order === 'per-step-set' && !('value' in item)
    if (hasPlace || item.step !== run[0]?.step) endRun()
    if (hasPlace) ordered.push(item)
    else run.push(item)
  }
  endRun()
  return ordered
}

/** JSON text with the fields in alphabetical order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, field) =>
    typeof field === 'object' && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field).sort(([a], [b]) => (a < b ? -1 : 1)))
      : field,
  )
}

function text(item: ResultItem | undefined): string {
  return item === undefined ? 'nothing' : JSON.stringify(item)
}
