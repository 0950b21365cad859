import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { firstDifference, type Rule } from '../../oracle/compare.js'
import { type CaseResult, readCases, type StoredCase } from '../../oracle/oracle-case.js'
import { runInStages, type StageRunOptions } from './stage-run.js'

const CASES = readCases(fileURLToPath(new URL('../../oracle', import.meta.url)))

const KEEPS_WATERMARK = 'after a restore Flink begins again without a watermark; the log of a stage keeps it'

const CALLS_END_LATER = 'its calls end steps later; in a stage they end within the commit (see async-stages.test.ts)'
const CLOCK_STANDS_STILL =
  'an element comes in the last millisecond of its window, whose timer is due then; the clock of the case stands still for a step'

interface Mode extends StageRunOptions {
  readonly order?: Rule['order']
  /** Cases whose expected results the mode cannot have, and why. */
  readonly excluded: Readonly<Record<string, string>>
}

const EXCLUDED = {
  'async-ordered': CALLS_END_LATER,
  'async-unordered': CALLS_END_LATER,
  'proc-tumbling': CLOCK_STANDS_STILL,
  'restore-timers': KEEPS_WATERMARK,
  'restore-window': KEEPS_WATERMARK,
}

const MODES: Readonly<Record<string, Mode>> = {
  warm: { excluded: EXCLUDED },
  'cold at each step': { cold: true, excluded: EXCLUDED },
  'cold at each step, from a checkpoint': { cold: true, cuts: true, excluded: EXCLUDED },
  'two subtasks, cold at each step': { parallelism: 2, cold: true, order: 'per-step-multiset', excluded: EXCLUDED },
}

const names = new Set(CASES.map((stored) => stored.case.name))

function recordsOf({ outputs, ...rest }: CaseResult): CaseResult {
  return { ...rest, outputs: Object.fromEntries(Object.entries(outputs).map(([name, items]) => [name, items.filter((item) => 'value' in item)])) }
}

function casesOf(excluded: Mode['excluded']): (readonly [string, StoredCase])[] {
  return CASES.filter(({ case: { name } }) => !(name in excluded)).map((stored) => [stored.case.name, stored])
}

/** The records that real Apache Flink 2.3.0 gave, at their steps, through commits, frames and outboxes. */
describe.each(Object.entries(MODES))('in stages, %s', (_mode, { order, excluded, ...options }) => {
  it.each(casesOf(excluded))('%s', async (_name, { case: oracleCase, expected }) => {
    const rule: Rule = { order: order ?? oracleCase.compare, steps: true }
    expect(firstDifference(rule, recordsOf(expected), await runInStages(oracleCase, options))).toBeUndefined()
  })

  it('leaves out only cases that there are', () => {
    expect(Object.keys(excluded).filter((name) => !names.has(name))).toEqual([])
    expect(casesOf(excluded).length).toBeGreaterThanOrEqual(65)
  })
})
