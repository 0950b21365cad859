import { afterEach, describe, expect, it, vi } from 'vitest'
import { EXIT, exitCodeOf } from '../../cli/exit-codes.js'
import { plainValue } from '../../cli/plain-value.js'
import { seconds } from '../../cli/progress.js'
import { table } from '../../cli/table.js'
import { WaitingLine } from '../../cli/waiting-line.js'
import { withPackages } from '../../runtime/backends/aws/optional-package.js'
import { WrittenOutput } from './written-output.js'

describe('an optional package', () => {
  it('that is not installed is named, with the command that installs it', async () => {
    const missing = Object.assign(new Error("Cannot find package '@aws-sdk/client-lambda' imported from /x/y.js"), { code: 'ERR_MODULE_NOT_FOUND' })
    await expect(withPackages('Calling a deployed job', () => Promise.reject(missing))).rejects.toThrow(
      'PACKAGE_MISSING: Calling a deployed job needs the package @aws-sdk/client-lambda, which is not installed\n  what to do: Run: npm install --save-dev @aws-sdk/client-lambda',
    )
  })

  it('may be needed where a job runs, and is told from a file that is not there', async () => {
    const failing = (code: string, message: string) => () => Promise.reject(Object.assign(new Error(message), { code }))
    await expect(
      withPackages('A connector', failing('MODULE_NOT_FOUND', "Cannot find module '@aws-sdk/client-s3/x'\nRequire stack:"), 'npm install'),
    ).rejects.toMatchObject({ code: 'PACKAGE_MISSING', detail: { todo: 'Run: npm install @aws-sdk/client-s3' } })
    for (const path of ['/x/y.js', './y.js', 'C:\\x\\y.js'])
      await expect(withPackages('x', failing('ERR_MODULE_NOT_FOUND', `Cannot find module '${path}' imported from z`))).rejects.not.toHaveProperty(
        'detail',
      )
  })

  it('that is there is loaded, and what else goes wrong stays as it is', async () => {
    expect(await withPackages('x', async () => 7)).toBe(7)
    await expect(withPackages('x', () => Promise.reject(new TypeError('broken')))).rejects.toBeInstanceOf(TypeError)
  })
})

describe('the exit code', () => {
  it('tells apart what scripts treat differently', () => {
    expect(exitCodeOf('OPTION_INVALID')).toBe(EXIT.usage)
    expect(exitCodeOf('CONTROL_TIMEOUT')).toBe(EXIT.timedOut)
    expect(exitCodeOf('CONTROL_REFUSED')).toBe(EXIT.refused)
    expect([exitCodeOf('AWS_CALL'), exitCodeOf(undefined)]).toEqual([EXIT.failed, EXIT.failed])
    expect(new Set(Object.values(EXIT)).size).toBe(Object.values(EXIT).length)
  })
})

describe('a waiting line', () => {
  const tty = process.stderr.isTTY
  let output: WrittenOutput

  afterEach(() => {
    output.end()
    process.stderr.isTTY = tty
    vi.useRealTimers()
  })

  it('is one line of a terminal, which goes away', () => {
    output = new WrittenOutput()
    process.stderr.isTTY = true
    const line = new WaitingLine()
    line.show('savepoint 3: 1 of 4 subtasks')
    line.show('savepoint 3: 4 of 4 subtasks')
    line.close()
    expect(output.stderr).toContain('\r\x1b[Ksavepoint 3: 4 of 4 subtasks')
    expect(output.stderr.endsWith('\r\x1b[K')).toBe(true)
    expect(output.stdout).toBe('')
  })

  it('is a line now and then elsewhere', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    output = new WrittenOutput()
    process.stderr.isTTY = false
    const line = new WaitingLine()
    line.show('soon')
    vi.advanceTimersByTime(10_000)
    line.show('still at it')
    line.show('at once again')
    line.close()
    expect(output.stderr).toBe('millrace: still at it\n')
  })
})

describe('what is printed', () => {
  it('stands in columns', () => {
    expect(
      table(
        [
          ['a', 'long one', ''],
          ['bb', 'x', 'y'],
        ],
        '  ',
      ),
    ).toEqual(['  a   long one', '  bb  x         y'])
  })

  it('says durations as people do', () => {
    expect([9_940, 7_199_000, 7_200_000, 172_800_000, 400_000_000].map(seconds)).toEqual([
      '9.9 s',
      '119 min 59 s',
      '2 h 0 min',
      '2 d 0 h',
      '4 d 15 h',
    ])
  })

  it('is JSON, whatever the value', () => {
    expect(
      plainValue({
        n: 1n << 70n,
        far: Number.POSITIVE_INFINITY,
        at: new Date(0),
        bytes: Uint8Array.of(1, 2),
        map: new Map([['k', new Set([1])]]),
        floats: Float64Array.of(0.5),
      }),
    ).toEqual({
      n: '1180591620717411303424',
      far: 'Infinity',
      at: '1970-01-01T00:00:00.000Z',
      bytes: 'AQI=',
      map: [['k', [1]]],
      floats: [0.5],
    })
    expect(JSON.stringify(plainValue([undefined, null, true]))).toContain('null')
  })
})
