import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

/** The command as it is installed: these tests run what `npm run build` made. */
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

const FINITE = `import { defineJob, type StreamExecutionEnvironment } from 'millrace'
import { suffix } from './suffix.js'
export default defineJob('finite', (env: StreamExecutionEnvironment) => {
  env.fromElements('to', 'be', 'or').map(word => word + suffix + (env.parameters.get('mark') ?? '')).print()
})
`

const COUNTING = `import { appendFileSync } from 'node:fs'
import { defineJob, generatorSource, WatermarkStrategy } from 'millrace'
export default defineJob('endless', env => {
  const file = env.parameters.getRequired('out')
  env.fromSource(generatorSource({ generate: (i: number) => ({ key: i % 3, n: 1 }), count: Number.POSITIVE_INFINITY, ratePerSecond: 500 }), WatermarkStrategy.noWatermarks(), 'numbers').uid('numbers')
    .keyBy(e => e.key)
    .sum('n').uid('sum')
    .map(e => { if (e.key === 0) appendFileSync(file, e.n + '\\n'); return e.n }).uid('tell')
    .filter(() => false)
    .print()
})
`

const FAILING = `import { defineJob } from 'millrace'

export default defineJob('failing', env => {
  env.fromElements(1, 2, 3)
    .map((n: number): number => {
      if (n === 2) throw new Error('two is too much')
      return n
    }).uid('fragile')
    .print()
})
`

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

let dir: string
let children: ChildProcess[]

beforeAll(() => {
  if (!existsSync(MAIN)) throw new Error('dist is missing: npm run build')
})
beforeEach(async () => {
  children = []
  dir = await realpath(await mkdtemp(join(tmpdir(), 'millrace-cli-')))
  await writeFile(join(dir, 'suffix.ts'), "export const suffix: string = '!'\n")
  await writeFile(join(dir, 'finite.ts'), FINITE)
  await writeFile(join(dir, 'counting.ts'), COUNTING)
  await writeFile(join(dir, 'failing.ts'), FAILING)
})
afterEach(async () => {
  for (const child of children) if (child.exitCode === null) child.kill('SIGKILL')
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
})

interface Run {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

function start(...args: string[]): Run {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += String(chunk)))
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }))
  return { child, ended }
}

const millrace = (...args: string[]): Promise<Ended> => start(...args).ended

async function until(what: string, run: Run, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400 && run.child.exitCode === null; tries++) {
    if (await condition()) return
    await wait(50)
  }
  run.child.kill('SIGKILL')
  throw new Error(`never happened: ${what}; the run said: ${(await run.ended).stderr}`)
}

async function counts(): Promise<number[]> {
  const text = await readFile(join(dir, 'out.txt'), 'utf8').catch(() => '')
  return text.split('\n').filter(Boolean).map(Number)
}

const COUNTING_ARGS = ['run', 'counting.ts', '--checkpoint-dir', 'ck', '--checkpoint-interval', '200', '--restart', 'none', '--', '--out', 'out.txt']
const startCounting = (...more: string[]): Run => start(...COUNTING_ARGS.slice(0, 2), ...more, ...COUNTING_ARGS.slice(2))

describe('millrace run', () => {
  it('runs a TypeScript job, gives stdout to the job and tells the rest on stderr', async () => {
    const { code, stdout, stderr } = await millrace('run', 'finite.ts', '--metrics-json', 'm.json', '--', '--mark', '?')
    expect(stdout.trim().split('\n').sort()).toEqual(['be!?', 'or!?', 'to!?'])
    expect(stderr).toMatch(/^millrace: finite finished after .*: 3 records in, 3 out/)
    expect(code).toBe(0)
    expect(JSON.parse(await readFile(join(dir, 'm.json'), 'utf8'))).toMatchObject({ job: 'finite', status: 'finished', recordsIn: 3 })
  })

  it('runs with several threads, and with none', async () => {
    for (const threads of ['3', '0']) {
      const { code, stdout } = await millrace('run', 'finite.ts', '--parallelism', '3', '--threads', threads, '--quiet')
      expect(code).toBe(0)
      expect(stdout.trim().split('\n').length).toBe(3)
    }
  })

  it('says nothing when quiet', async () => {
    expect((await millrace('run', 'finite.ts', '--quiet')).stderr).toBe('')
  })

  it('reports a failing job without a stack, and with one that names the line of the source when asked', async () => {
    const { code, stderr } = await millrace('run', 'failing.ts', '--quiet')
    expect(code).toBe(1)
    expect(stderr).toMatch(/USER_FUNCTION: [\s\S]*two is too much/)
    expect(stderr).not.toMatch(/^\s+at /m)
    const verbose = await millrace('run', 'failing.ts', '--quiet', '--verbose-errors')
    expect(verbose.stderr).toMatch(/failing\.ts:6:\d+/)
  })

  it.each([
    [['run', 'absent.ts'], 1, /JOB_NOT_FOUND: There is no file absent\.ts[\s\S]*what to do/],
    [['run', '.'], 1, /JOB_NOT_FOUND: \. is a folder/],
    [['run', 'suffix.ts'], 1, /JOB_NO_DEFAULT_EXPORT: The module has no default export\n {2}where: suffix\.ts\n/],
    [['run', 'finite.ts', '--from', 'latest'], 2, /OPTION_INVALID: --from latest needs a checkpoint folder/],
    [['run', 'finite.ts', '--min-pause', '5'], 2, /OPTION_INVALID: --min-pause needs a checkpoint folder/],
    [['run', 'finite.ts', '--metrics-json', 'absent/m.json'], 1, /FILE_NOT_FOUND/],
    [['run', 'finite.ts', '--parallelism', 'x'], 2, /--parallelism/],
    [['run', 'finite.ts', '--from', 'absent-savepoint'], 1, /CHECKPOINT_NOT_FOUND/],
    [['wat'], 2, /unknown command 'wat'/],
    [['stop', 'absent'], 1, /CONTROL_UNREACHABLE/],
    [['checkpoints', 'absent'], 1, /FILE_NOT_FOUND/],
  ])('%j ends with %i', async (args, exitCode, message) => {
    const { code, stderr, stdout } = await millrace(...args)
    expect(stderr).toMatch(message)
    expect(stdout).toBe('')
    expect(code).toBe(exitCode)
  })
})

describe('millrace plan', () => {
  it('shows the graph in three forms and runs nothing', async () => {
    const text = await millrace('plan', 'counting.ts', '--', '--out', 'out.txt')
    expect(text.stdout).toMatch(/Job endless/)
    expect(text.stdout).toMatch(/sum/)
    expect((await millrace('plan', 'counting.ts', '--format', 'mermaid', '--', '--out', 'o')).stdout).toMatch(/^flowchart/)
    const json = JSON.parse((await millrace('plan', 'counting.ts', '--format', 'json', '--parallelism', '2', '--', '--out', 'o')).stdout)
    expect(json).toMatchObject({ job: 'endless' })
    expect(Math.max(...json.vertices.map((vertex: { parallelism: number }) => vertex.parallelism))).toBe(2)
    expect(await readdir(dir)).not.toContain('o')
  })
})

describe('a job that runs', { timeout: 60_000 }, () => {
  it('is watched, saved and stopped from outside, goes on where it was, and keeps others out of its folder', async () => {
    const first = startCounting()
    await until('it counts', first, async () => (await counts()).length > 20)
    const status = await millrace('status', 'ck', '--json')
    expect(JSON.parse(status.stdout)).toMatchObject({ job: 'endless', pid: first.child.pid, status: 'running', metrics: { job: 'endless' } })

    const second = await startCounting().ended
    expect(second.code).toBe(1)
    expect(second.stderr).toMatch(/CHECKPOINT_DIR_IN_USE: The job 'endless' \(process \d+\) runs/)

    const savepoint = await millrace('savepoint', 'ck', 'sp')
    expect(savepoint.stderr).toBe('')
    const path = savepoint.stdout.trim()
    expect(path.startsWith(join(dir, 'sp'))).toBe(true)
    expect(existsSync(path)).toBe(true)
    const listed = JSON.parse((await millrace('checkpoints', 'sp', '--json')).stdout)
    expect(listed).toMatchObject([{ kind: 'savepoint', status: 'valid' }])

    const stopped = await millrace('stop', 'ck')
    expect(stopped.stderr).toBe('')
    expect(stopped.stdout).toMatch(/checkpoint .*ck/)
    expect((await first.ended).code).toBe(0)
    expect(existsSync(join(dir, 'ck', 'control.json'))).toBe(false)

    const before = await counts()
    const again = startCounting('--from', 'latest')
    await until('it counts on', again, async () => (await counts()).length > before.length + 20)
    expect((await millrace('cancel', 'ck')).stdout).toMatch(/cancelled/)
    const { code, stderr } = await again.ended
    expect(code).toBe(0)
    expect(stderr).toMatch(/restored checkpoint \d+/)
    // The sum of key 0 goes up by one for each record: after a clean stop nothing is missing and nothing is counted twice.
    const after = await counts()
    expect(after).toEqual(after.map((_, index) => index + 1))
  })

  it.skipIf(process.platform === 'win32')('ends with a last checkpoint on Ctrl-C, and on SIGTERM', async () => {
    for (const [signal, exitCode] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      await rm(join(dir, 'out.txt'), { force: true })
      await rm(join(dir, 'ck'), { recursive: true, force: true })
      const run = startCounting('--checkpoint-interval', '0')
      await until('it counts', run, async () => (await counts()).length > 20)
      run.child.kill(signal)
      const { code, stderr } = await run.ended
      expect(stderr).toMatch(new RegExp(`${signal}: stopping with a last checkpoint`))
      expect(stderr).toMatch(/go on with --from latest/)
      expect(code).toBe(exitCode)
      const { stdout } = await millrace('checkpoints', 'ck')
      expect(stdout).toMatch(/checkpoint \d+ .*valid/)
      expect(stdout).toMatch(/sum/)
    }
  })

  it.skipIf(process.platform === 'win32')('ends on Ctrl-C without a checkpoint folder', async () => {
    const run = start('run', 'counting.ts', '--control', 'control.json', '--', '--out', 'out.txt')
    await until('it counts', run, async () => (await counts()).length > 5)
    expect((await millrace('status', 'control.json')).stdout).toMatch(/^endless \(process \d+, attempt 0\): running/)
    run.child.kill('SIGINT')
    expect((await run.ended).code).toBe(130)
    expect(existsSync(join(dir, 'control.json'))).toBe(false)
  })

  it.skipIf(process.platform === 'win32')('can be killed and started again in the same folder', async () => {
    const first = startCounting()
    await until('it counts', first, async () => (await counts()).length > 200)
    first.child.kill('SIGKILL')
    await first.ended
    expect((await millrace('status', 'ck')).stderr).toMatch(/CONTROL_UNREACHABLE: The job 'endless' \(process \d+\) does not answer/)
    const before = await counts()
    const again = startCounting('--from', 'latest')
    await until('it counts on', again, async () => ((await counts()).at(-1) ?? 0) > (before.at(-1) as number))
    again.child.kill('SIGTERM')
    const { stderr } = await again.ended
    expect(stderr).toMatch(/restored checkpoint/)
    // Records since the last checkpoint are told again; none is left out.
    const seen = [...new Set(await counts())]
    expect(seen).toEqual(seen.map((_, index) => index + 1))
  })

  it.skipIf(process.platform === 'win32')('ends when the reader of its output has gone', async () => {
    await writeFile(join(dir, 'chatty.ts'), COUNTING.replace('.filter(() => false)', ''))
    const run = start('run', 'chatty.ts', '--quiet', '--', '--out', 'out.txt')
    await Promise.race([once(run.child.stdout as NodeJS.ReadableStream, 'data'), run.ended])
    run.child.stdout?.destroy()
    expect((await run.ended).code).toBe(141)
  })
})
