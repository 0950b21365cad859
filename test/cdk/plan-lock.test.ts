import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkPlanLock, planLockFile } from '../../cdk/plan-lock.js'
import type { DeclaredStates, OperatorPlan } from '../../runtime/plan/index.js'
import { operatorOf, planOf } from '../plan/plans.js'

let folder: string
let entry: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  entry = join(folder, 'clicks.ts')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const CLICKS = operatorOf('clicks', { isSource: true, kind: 'kinesis-source' })
const COUNT = operatorOf('count', { keyed: true, kind: 'reduce' })

interface CheckOptions {
  readonly path?: string
  readonly allowStateLoss?: readonly string[]
  readonly states?: DeclaredStates
}

function check(operators: readonly OperatorPlan[], { path = 'stack/Clicks', allowStateLoss = [], states }: CheckOptions = {}) {
  return checkPlanLock({ entry, path, plan: { ...planOf(operators.map((operator) => [operator])), ...(states && { states }) }, allowStateLoss })
}

describe('the lock of plans', () => {
  it('is written at the first synth, beside the job', () => {
    const file = planLockFile(entry)
    expect(file).toBe(join(folder, 'clicks.plan-lock.json'))
    expect(check([CLICKS, COUNT])).toEqual([expect.stringContaining(`is recorded in ${file}. Commit the file`)])
    const written = readFileSync(file, 'utf8')
    expect(check([CLICKS, COUNT])).toEqual([])
    expect(readFileSync(file, 'utf8')).toBe(written)
  })

  it('follows what does no harm, and says what that was', () => {
    check([CLICKS, COUNT])
    expect(check([CLICKS, COUNT, operatorOf('shown')])).toEqual([expect.stringContaining('shown is new')])
    expect(check([CLICKS, COUNT, operatorOf('shown')])).toEqual([])
  })

  it('refuses what would lose state and stays as it is, but for what is dropped on purpose', () => {
    check([CLICKS, COUNT])
    const refused = () => check([CLICKS])
    expect(refused).toThrow(/PLAN_INCOMPATIBLE.*\n {2}count: the operator is gone, and its state would be lost\.\n {4}.*allowStateLoss: \['count'\]/)
    expect(refused).toThrow(`stack/Clicks, compared with ${planLockFile(entry)}`)
    expect(check([CLICKS], { allowStateLoss: ['count'] })).toEqual([expect.stringContaining('dropped on purpose')])
    expect(check([CLICKS])).toEqual([])
  })

  it('holds what operators declare, also where they cannot be opened', () => {
    const state = (name: string) => ({ name, kind: 'value', serde: 'structural', ttl: false })
    check([CLICKS, COUNT], { states: { count: [state('n'), state('words')] } })
    const written = readFileSync(planLockFile(entry), 'utf8')
    expect(check([CLICKS, COUNT], { states: {} })).toEqual([])
    expect(readFileSync(planLockFile(entry), 'utf8')).toBe(written)
    const refused = () => check([CLICKS, COUNT], { states: { count: [state('n')] } })
    expect(refused).toThrow(
      /PLAN_INCOMPATIBLE[\s\S]*count: the value state "words" is gone, and what it holds would be lost\.\n {4}.*allowStateLoss: \['count'\]/,
    )
    expect(check([CLICKS, COUNT], { states: { count: [state('n')] }, allowStateLoss: ['count'] })).toEqual([
      expect.stringContaining('the value state "words" is gone'),
    ])
  })

  it('has a plan for each construct that deploys the job', () => {
    check([CLICKS, COUNT])
    check([CLICKS], { path: 'test/Clicks' })
    expect(check([CLICKS, COUNT])).toEqual([])
    expect(check([CLICKS], { path: 'test/Clicks' })).toEqual([])
  })

  it.each(['<<<<<<< HEAD', '{"format":2}', 'null'])('is refused when it holds %s', (text) => {
    writeFileSync(planLockFile(entry), text)
    expect(() => check([CLICKS])).toThrow(/OPTION_INVALID: the file is no lock of plans/)
    expect(existsSync(planLockFile(entry))).toBe(true)
  })
})
