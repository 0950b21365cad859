import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readState } from '../../local-aws/local-aws.js'
import { isRunning } from '../../local-aws/process-group.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-local-aws-'))
})
afterEach(() => {
  aws('down')
  rmSync(folder, { recursive: true, force: true })
})

/** Runs the command behind `npm run aws:up` and its like. */
function aws(command: string, ...words: readonly string[]): string {
  const { AWS_ENDPOINT_URL: _, ...env } = process.env
  return execFileSync(process.execPath, ['scripts/local-aws.mjs', command, ...words, '--folder', folder], { env, encoding: 'utf8', stdio: 'pipe' })
}

describe('npm run aws:up', () => {
  it('starts an emulator and a poller that outlive it, says how they are found, and ends both', async () => {
    const printed = aws('up', '--port', '0')
    const endpoint = /^export AWS_ENDPOINT_URL=(.+)$/m.exec(printed)?.[1] as string
    expect((await fetch(`${endpoint}/_ministack/health`)).ok).toBe(true)
    expect(JSON.parse(aws('status'))).toEqual({})
    aws('faults', '{"duplicate":0.5}')
    expect(() => aws('faults', '{"duplicate":2}')).toThrow(/probability/)
    expect(() => aws('up', '--port', '0')).toThrow(/runs already/)

    const { processes, temporary } = readState(folder) as NonNullable<ReturnType<typeof readState>>
    expect(Object.values(processes).map(isRunning)).toEqual([true, true])
    expect(aws('down')).toContain('Ended.')
    expect(Object.values(processes).map(isRunning)).toEqual([false, false])
    expect(() => rmSync(temporary)).toThrow(/ENOENT/)
    expect(aws('down')).toContain('Nothing was started')
  })
})
