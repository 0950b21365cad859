import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { EXCLUSIONS } from '../../oracle/exclusions.js'
import { differenceIn, MODES } from '../../oracle/modes.js'
import { readCases } from '../../oracle/oracle-case.js'

const CASES = readCases(fileURLToPath(new URL('../../oracle', import.meta.url)))

/** What real Apache Flink 2.3.0 gave, on this engine's operators, in each mode. */
describe.each(MODES)('%s', (mode) => {
  const excluded = EXCLUSIONS[mode]

  it.each(CASES.filter(({ case: { name } }) => !(name in excluded)).map((stored) => [stored.case.name, stored] as const))(
    '%s',
    async (_name, stored) => {
      expect(await differenceIn(mode, stored)).toBeUndefined()
    },
  )

  it('leaves out few cases, and only cases that there are', () => {
    const names = CASES.map((stored) => stored.case.name)
    expect(Object.keys(excluded).filter((name) => !names.includes(name))).toEqual([])
    expect(Object.keys(excluded).length).toBeLessThanOrEqual(15)
  })
})

it('has all the cases', () => {
  expect(CASES.length).toBe(70)
})
