import { describe, expect, it } from 'vitest'
import { firstDifference } from '../../oracle/compare.js'
import { jsonValue, numberOf } from '../../oracle/json-number.js'
import type { CaseResult, ResultItem } from '../../oracle/oracle-case.js'

const result = (...main: ResultItem[]): CaseResult => ({ outputs: { main } })
const record = (step: number, value: unknown, ts: number | string | null = 1): ResultItem => ({ step, ts, value })
const EXACT = { order: 'exact', steps: true } as const
const SET = { order: 'per-step-set', steps: true } as const

describe('exact', () => {
  it('wants the same items in the same order at the same steps', () => {
    expect(firstDifference(EXACT, result(record(0, { a: 1, b: 2 })), result(record(0, { b: 2, a: 1 })))).toBeUndefined()
    expect(firstDifference(EXACT, result(record(0, 1), record(0, 2)), result(record(0, 2), record(0, 1)))).toMatch(
      /main\[0\]: expected .*1.*, got .*2/,
    )
    expect(firstDifference(EXACT, result(record(0, 1)), result(record(1, 1)))).toMatch(/main\[0\]/)
    expect(firstDifference(EXACT, result(), result(record(1, 1)))).toMatch(/expected nothing/)
  })

  it('wants every output', () => {
    expect(firstDifference(EXACT, { outputs: { main: [], late: [record(0, 1)] } }, { outputs: { main: [] } })).toMatch(/late\[0\].*got nothing/)
  })

  it('wants a failure at the same step, whatever its message', () => {
    const failed = (step: number, message: string): CaseResult => ({ error: { step, message }, outputs: {} })
    expect(firstDifference(EXACT, failed(2, 'NullPointerException'), failed(2, 'other'))).toBeUndefined()
    expect(firstDifference(EXACT, failed(2, 'x'), failed(3, 'x'))).toMatch(/step 2.*step 3/)
    expect(firstDifference(EXACT, failed(2, 'x'), { outputs: {} })).toMatch(/no failure/)
  })
})

describe('per-step-set', () => {
  const watermark = { step: 0, watermark: 5 } as const

  it('lets records of one step between two watermarks come in any order', () => {
    expect(firstDifference(SET, result(record(0, 1), record(0, 2)), result(record(0, 2), record(0, 1)))).toBeUndefined()
    expect(firstDifference(SET, result(record(0, 1), watermark, record(0, 2)), result(record(0, 2), watermark, record(0, 1)))).toBeDefined()
    expect(firstDifference(SET, result(record(0, 1), record(1, 2)), result(record(1, 2), record(0, 1)))).toBeDefined()
  })

  it('counts equal records', () => {
    expect(firstDifference(SET, result(record(0, 1), record(0, 1)), result(record(0, 1)))).toBeDefined()
  })
})

it('writes integers as the cases do', () => {
  expect(jsonValue([2 ** 53, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, null, { wm: -5 }])).toEqual([
    '9007199254740992',
    'MAX',
    'MIN',
    0,
    null,
    { wm: -5 },
  ])
  expect(['MIN', 'MAX', '12', 7].map(numberOf)).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 12, 7])
})
