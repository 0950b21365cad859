import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { firstDifference, type Rule } from '../../oracle/compare.js'
import { type CaseResult, readCases, type StoredCase } from '../../oracle/oracle-case.js'
import { runInStages, type StageRunOptions } from './stage-run.js'

const CASES = readCases(fileURLToPath(new URL('../../oracle', import.meta.url)))

const TWO_INPUTS = 'an operator with two inputs'
const ASYNC = 'an asynchronous operator'
const PROCESSING_TIME = 'a processing-time timer'

/** Cases that stages refuse, and for what. */
const REFUSED: Readonly<Record<string, string>> = {
  'async-ordered': ASYNC,
  'async-unordered': ASYNC,
  'broadcast-rules': TWO_INPUTS,
  'co-enrich': TWO_INPUTS,
  'co-min-watermark': TWO_INPUTS,
  cogroup: TWO_INPUTS,
  'interval-join-basic': TWO_INPUTS,
  'interval-join-late': TWO_INPUTS,
  'proc-session': PROCESSING_TIME,
  'proc-tumbling': PROCESSING_TIME,
  'restore-timers': PROCESSING_TIME,
  'timer-processing': PROCESSING_TIME,
  'window-join': TWO_INPUTS,
}

const KEEPS_WATERMARK = 'after a restore Flink begins again without a watermark; the log of a stage keeps it'
const FIRES_WITH_REPEATED = 'a timer registered for the past fires with the next watermark, which after a cold start is the repeated one'

interface Mode extends StageRunOptions {
  readonly order?: Rule['order']
  /** Cases whose expected results the mode cannot have, and why. */
  readonly excluded: Readonly<Record<string, string>>
}

const WARM = { 'restore-window': KEEPS_WATERMARK }
const COLD = { ...WARM, 'timer-duplicate': FIRES_WITH_REPEATED, 'timer-past': FIRES_WITH_REPEATED }

const MODES: Readonly<Record<string, Mode>> = {
  warm: { excluded: WARM },
  'cold at each step': { cold: true, excluded: COLD },
  'cold at each step, from a checkpoint': { cold: true, cuts: true, excluded: COLD },
  'two subtasks, cold at each step': { parallelism: 2, cold: true, order: 'per-step-multiset', excluded: COLD },
}

const names = new Set(CASES.map((stored) => stored.case.name))

function recordsOf({ outputs, ...rest }: CaseResult): CaseResult {
  return { ...rest, outputs: Object.fromEntries(Object.entries(outputs).map(([name, items]) => [name, items.filter((item) => 'value' in item)])) }
}

function casesOf(excluded: Mode['excluded']): (readonly [string, StoredCase])[] {
  return CASES.filter(({ case: { name } }) => !(name in REFUSED) && !(name in excluded)).map((stored) => [stored.case.name, stored])
}

/** The records that real Apache Flink 2.3.0 gave, at their steps, through commits, frames and outboxes. */
describe.each(Object.entries(MODES))('in stages, %s', (_mode, { order, excluded, ...options }) => {
  it.each(casesOf(excluded))('%s', async (_name, { case: oracleCase, expected }) => {
    const rule: Rule = { order: order ?? oracleCase.compare, steps: true }
    expect(firstDifference(rule, recordsOf(expected), await runInStages(oracleCase, options))).toBeUndefined()
  })

  it('leaves out only cases that there are', () => {
    expect(Object.keys(excluded).filter((name) => !names.has(name))).toEqual([])
    expect(casesOf(excluded).length).toBeGreaterThanOrEqual(50)
  })
})

describe('in stages, refused', () => {
  it.each(CASES.filter(({ case: { name } }) => name in REFUSED).map((stored) => [stored.case.name, stored] as const))('%s', async (_name, stored) => {
    await expect(runInStages(stored.case)).rejects.toMatchObject({ code: 'PLAN_INVALID' })
  })

  it('are cases that there are', () => {
    expect(Object.keys(REFUSED).filter((name) => !names.has(name))).toEqual([])
  })
})
