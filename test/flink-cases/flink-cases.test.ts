import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { differenceIn } from '../../oracle/modes.js'
import { readCases } from '../../oracle/oracle-case.js'

/** Time to live and asynchronous calls: scripts beside those of `oracle/`, with what Apache Flink 2.3.0's own operators gave for them. */
const CASES = readCases(fileURLToPath(new URL('.', import.meta.url)))

it('has all the cases', () => {
  expect(CASES).toHaveLength(36)
})

describe('as Flink', () => {
  it.each(CASES.map((stored) => [stored.case.name, stored] as const))('%s', async (_name, stored) => {
    expect(await differenceIn('plain', stored)).toBeUndefined()
    expect(await differenceIn('batches', stored)).toBeUndefined()
    // A call that is made again after a restore has its whole time-out before it again.
    if (!stored.case.name.startsWith('async-timeout')) expect(await differenceIn('restore-every-step', stored)).toBeUndefined()
  })
})
