import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { builtFile, exampleFile, expected, sorted, temporaryFolder } from './run-example.js'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const ALL = '2,897 lines = 2,835 counted + 50 late + 12 malformed'

/** `npm start -- ARGS`, without npm. */
function start(args: readonly string[], stdin = ''): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [builtFile('examples/ip-count/main.js'), ...args])
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk) => (stdout += chunk))
    child.stderr.on('data', (chunk) => (stderr += chunk))
    child.on('error', reject).on('close', (code) => resolve({ code, stdout, stderr }))
    child.stdin.end(stdin)
  })
}

describe('npm start', () => {
  it('prints the windows of the log that ships with it, malformed lines, and the account of all lines, within 10 seconds', async () => {
    const startedAt = Date.now()
    const { code, stdout, stderr } = await start([])
    expect(Date.now() - startedAt).toBeLessThan(10_000)
    expect(sorted(stdout).filter((line) => line.startsWith('{'))).toEqual(sorted(expected('ip-count/expected.jsonl')))
    expect(stdout).toContain(ALL)
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^425 windows, [\d.]+ s, [\d,]+ lines\/s$/)
    expect(sorted(stderr)).toHaveLength(12)
    expect(stderr).toMatch(/^malformed line \d+: .+: .+/m)
    expect(code).toBe(0)
  })

  it('writes a file, or part files into a folder, at any parallelism', async () => {
    const folder = temporaryFolder()
    const file = join(folder, 'windows.jsonl')
    const parts = join(folder, 'parts')
    mkdirSync(parts)
    const input = exampleFile('ip-count/access.log')
    const one = await start(['--input', input, '--output', file, '--malformed', join(folder, 'bad.jsonl')])
    const four = await start(['--input', input, '--output', parts, '--parallelism', '4'])
    for (const { code, stdout } of [one, four]) {
      expect(stdout).toContain(ALL)
      expect(code).toBe(0)
    }
    expect(one.stderr).toBe('')
    const windows = sorted(expected('ip-count/expected.jsonl'))
    expect(sorted(readFileSync(file, 'utf8'))).toEqual(windows)
    const names = readdirSync(parts).filter((name) => !name.startsWith('.'))
    expect(names.length).toBeGreaterThan(1)
    expect(sorted(names.map((name) => readFileSync(join(parts, name), 'utf8')).join(''))).toEqual(windows)
  })

  it('reads standard input', async () => {
    const { code, stdout } = await start(['--stdin'], expected('ip-count/access.log'))
    expect(stdout).toContain(ALL)
    expect(code).toBe(0)
  })

  // Windows has no signal that a process could send for Ctrl-C.
  it.skipIf(process.platform === 'win32')('follows a file until Ctrl-C, then fires what is open', async () => {
    const output = join(temporaryFolder(), 'windows.jsonl')
    const child = spawn(process.execPath, [
      builtFile('examples/ip-count/main.js'),
      '--follow',
      exampleFile('ip-count/access.log'),
      '--output',
      output,
    ])
    let stdout = ''
    child.stdout.on('data', (chunk) => (stdout += chunk))
    // It ends by itself only when something is wrong; the malformed lines show that it has read that far.
    let malformed = 0
    child.stderr.on('data', (chunk) => {
      malformed += sorted(String(chunk)).length
      if (malformed >= 12) setTimeout(() => child.kill('SIGINT'), 500)
    })
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect(stdout).toContain(ALL)
    expect(sorted(readFileSync(output, 'utf8'))).toEqual(sorted(expected('ip-count/expected.jsonl')))
    expect(code).toBe(0)
  })

  it('says what is wrong with its options, and exits with 2', async () => {
    for (const [args, message] of [
      [['--inptu', 'x'], /unknown option '--inptu'/],
      [['--input'], /argument missing/],
      [['x.log'], /too many arguments/],
      [['--parallelism', 'many'], /whole number/],
      [['--input', 'a', '--stdin'], /cannot be used with/],
      [['--socket', 'localhost'], /host and port/],
    ] as const) {
      const { code, stderr } = await start(args)
      expect(stderr).toMatch(message)
      expect(stderr).not.toMatch(/^\s+at /m)
      expect(code).toBe(2)
    }
  })

  it('names a file that does not exist, and exits with 1', async () => {
    const { code, stderr } = await start(['--input', 'no-such.log'])
    expect(stderr.match(/FILE_NOT_FOUND/g)).toHaveLength(1)
    expect(stderr).toMatch(/no-such\.log/)
    expect(stderr).not.toMatch(/^\s+at /m)
    expect(code).toBe(1)
  })
})
