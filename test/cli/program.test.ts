import { CommanderError } from 'commander'
import { describe, expect, it, vi } from 'vitest'
import type { Commands } from '../../cli/commands.js'
import { restartStrategy } from '../../cli/option-parsers.js'
import { buildProgram } from '../../cli/program.js'

async function parse(...words: string[]): Promise<{ calls: unknown[][]; exitCode: number; output: string; error: unknown }> {
  const calls: unknown[][] = []
  let exitCode = 0
  let output = ''
  const record =
    <R>(name: string, result: R) =>
    async (...args: unknown[]): Promise<R> => {
      calls.push([name, ...args])
      return result
    }
  const commands: Commands = {
    init: record('init', undefined),
    run: record('run', 130),
    plan: record('plan', undefined),
    checkpoints: record('checkpoints', undefined),
    stop: record('stop', undefined),
    savepoint: record('savepoint', undefined),
    cancel: record('cancel', undefined),
    status: record('status', undefined),
    start: record('start', undefined),
    restore: record('restore', undefined),
    rescale: record('rescale', undefined),
    pipe: record('pipe', 130),
    whyNotFired: record('whyNotFired', undefined),
    cost: record('cost', undefined),
    deadLetterList: record('deadLetterList', undefined),
    deadLetterShow: record('deadLetterShow', undefined),
    deadLetterReplay: record('deadLetterReplay', undefined),
    stateGet: record('stateGet', undefined),
    stateList: record('stateList', undefined),
    stateDiff: record('stateDiff', undefined),
  }
  const program = buildProgram(commands, '1.2.3', (code) => {
    exitCode = code
  })
  const capture = { writeOut: (text: string) => (output += text), writeErr: (text: string) => (output += text) }
  for (const command of [program, ...program.commands.flatMap((one) => [one, ...one.commands])]) command.configureOutput(capture)
  let error: unknown
  try {
    await program.parseAsync(['node', 'millrace', ...words])
  } catch (thrown) {
    error = thrown
  }
  return { calls, exitCode, output, error }
}

describe('millrace command line', () => {
  it('hands options to pipe, and gives its exit code on', async () => {
    const { calls, exitCode } = await parse(...'pipe --stream s --socket h:1 --partition-key field:2 --rate 10 --aggregate --quiet'.split(' '))
    expect(calls).toEqual([['pipe', { stream: 's', socket: 'h:1', partitionKey: expect.anything(), rate: 10, aggregate: true, quiet: true }]])
    expect(exitCode).toBe(130)
    expect((await parse('pipe', '--stdin')).output).toContain("required option '--stream <name>' not specified")
    expect((await parse('pipe', '--stream', 's', '--partition-key', 'field:0')).output).toContain('field:N (from 1, between spaces)')
  })

  it('hands options and the parameters behind -- to run', async () => {
    const words =
      'run job.ts --parallelism 4 --checkpoint-dir ck --checkpoint-interval 500 --max-parallelism 256 --checkpoint-mode at-least-once --from latest'
    const more =
      '--restart fixed-delay:3:1000 --retain 2 --threads 0 --bind a=x --bind b=y=z --metrics-json m.json --quiet -- --input x.log --parallelism 9'
    const { calls, exitCode, error } = await parse(...`${words} ${more}`.split(' '))
    expect(error).toBeUndefined()
    expect(calls).toEqual([
      [
        'run',
        'job.ts',
        ['--input', 'x.log', '--parallelism', '9'],
        {
          parallelism: 4,
          checkpointDir: 'ck',
          checkpointInterval: 500,
          maxParallelism: 256,
          checkpointMode: 'at-least-once',
          from: 'latest',
          restart: { kind: 'fixed-delay', attempts: 3, delayMs: 1000 },
          retain: 2,
          threads: 0,
          bind: { a: 'x', b: 'y=z' },
          metricsJson: 'm.json',
          quiet: true,
        },
      ],
    ])
    expect(exitCode).toBe(130)
  })

  it('leaves defaults to the engine', async () => {
    expect((await parse('run', 'job.ts')).calls).toEqual([['run', 'job.ts', [], {}]])
  })

  it('parses the other commands', async () => {
    expect((await parse('plan', 'job.ts', '--format', 'json', '--max-parallelism', '512', '--', '--input', 'x')).calls).toEqual([
      ['plan', 'job.ts', ['--input', 'x'], { format: 'json', maxParallelism: 512 }],
    ])
    expect((await parse('checkpoints', 'ck', '--json')).calls).toEqual([['checkpoints', 'ck', { json: true }]])
    expect((await parse('stop', 'ck', '--drain', '--savepoint', 'sp')).calls).toEqual([['stop', 'ck', { drain: true, savepoint: 'sp' }]])
    expect((await parse('savepoint', 'ck', 'sp')).calls).toEqual([['savepoint', 'ck', 'sp', {}]])
    expect((await parse('cancel', 'ck')).calls).toEqual([['cancel', 'ck', {}]])
    expect((await parse('status', 'ck')).calls).toEqual([['status', 'ck', {}]])
    expect((await parse('status', '--stack', 'shop', '--job', 'tally', '--json')).calls).toEqual([
      ['status', undefined, { stack: 'shop', job: 'tally', json: true }],
    ])
    expect((await parse('start', '--stack', 's')).calls).toEqual([['start', { stack: 's' }]])
    expect((await parse('restore', '12', '--stack', 's')).calls).toEqual([['restore', '12', { stack: 's' }]])
    expect((await parse('rescale', '4', '--stack', 's', '--dry-run', '--', '--profile', 'p')).calls).toEqual([
      ['rescale', 4, ['--profile', 'p'], { stack: 's', dryRun: true }],
    ])
    expect((await parse('stop', '--function', 'f', '--timeout', '30')).calls).toEqual([['stop', undefined, { function: 'f', timeout: 30 }]])
  })

  it('parses the commands that look into a job', async () => {
    const [[name, path, flags]] = (await parse('state', 'get', 'ck', '--uid', 'u', '--key', 'k', '--namespace', '[0,10]')).calls as [
      [string, string, { namespace: (namespace: unknown) => boolean }],
    ]
    expect([name, path, flags.namespace([0, 10]), flags.namespace([0, 11])]).toEqual(['stateGet', 'ck', true, false])
    expect((await parse('state', 'list', '--stack', 's', '--checkpoint', '3')).calls).toEqual([
      ['stateList', undefined, { stack: 's', checkpoint: 3 }],
    ])
    expect((await parse('state', 'diff', 'a', 'b', '--limit', '0', '--verbose-errors')).calls).toEqual([['stateDiff', 'a', 'b', { limit: 0 }]])
    expect((await parse('why-not-fired', 'ck', '--uid', 'u')).calls).toEqual([['whyNotFired', 'ck', { uid: 'u' }]])
    expect((await parse('cost', '--stack', 's', '--rate', '0.5', '--record-bytes', '300')).calls).toEqual([
      ['cost', { stack: 's', rate: 0.5, recordBytes: 300 }],
    ])
    expect((await parse('dead-letters', 'list', '--stack', 's', '--limit', '5')).calls).toEqual([['deadLetterList', { stack: 's', limit: 5 }]])
    expect((await parse('dead-letters', 'show', 'i', '--stack', 's')).calls).toEqual([['deadLetterShow', 'i', { stack: 's' }]])
    expect((await parse('dead-letters', 'replay', 'i', 'j', '--stack', 's', '--again')).calls).toEqual([
      ['deadLetterReplay', ['i', 'j'], { stack: 's', again: true }],
    ])
  })

  it.each([
    [['run'], /missing required argument 'job'/],
    [['run', 'job.ts', '--paralelism', '4'], /unknown option '--paralelism'[\s\S]*--parallelism/],
    [['runn', 'job.ts'], /unknown command 'runn'[\s\S]*run/],
    [['run', 'job.ts', '--parallelism', 'four'], /'--parallelism <n>' argument 'four' is invalid. Give a whole number from 1 to 32768/],
    [['run', 'job.ts', '--parallelism', '0'], /from 1 to 32768/],
    [['run', 'job.ts', '--max-parallelism', '40000'], /from 1 to 32768/],
    [['run', 'job.ts', '--checkpoint-interval', '1.5'], /whole number, at least 0/],
    [['run', 'job.ts', '--checkpoint-mode', 'twice'], /Allowed choices are exactly-once, at-least-once/],
    [['run', 'job.ts', '--restart', 'fixed-delay:3'], /fixed-delay:ATTEMPTS:DELAY_MS/],
    [['plan', 'job.ts', '--format', 'svg'], /Allowed choices are text, mermaid, json/],
    [['savepoint', '--stack', 's', '--timeout', '0'], /whole number, at least 1/],
    [['state', 'get', 'ck', '--key', 'k'], /required option '--uid <uid>' not specified/],
    [['state', 'get', 'ck', '--uid', 'u', '--key', 'k', '--namespace', '[0,'], /Give a window as \[start,end\]/],
    [['rescale', '0', '--stack', 's'], /from 1 to 32768/],
    [['restore', '--stack', 's'], /missing required argument 'checkpoint'/],
    [['cost', '--stack', 's', '--rate', '-1'], /Give a number, at least 0/],
    [['cancel'], /missing required argument 'dir'/],
  ])('refuses %j', async (words, message) => {
    const { calls, error, output } = await parse(...words)
    expect(calls).toEqual([])
    expect(error).toBeInstanceOf(CommanderError)
    expect((error as CommanderError).exitCode).not.toBe(0)
    expect(output).toMatch(message)
  })

  it('tells its version', async () => {
    vi.stubEnv('NO_COLOR', '1')
    const { output, error } = await parse('--version')
    expect(output).toBe('1.2.3\n')
    expect((error as CommanderError).exitCode).toBe(0)
    vi.unstubAllEnvs()
  })
})

describe('restartStrategy', () => {
  it.each([
    ['none', { kind: 'none' }],
    ['fixed-delay:3:1000', { kind: 'fixed-delay', attempts: 3, delayMs: 1000 }],
    ['failure-rate:3:60000:10', { kind: 'failure-rate', failures: 3, intervalMs: 60_000, delayMs: 10 }],
    ['exponential-delay:10:100', { kind: 'exponential-delay', initialDelayMs: 10, maxDelayMs: 100, multiplier: 2, resetAfterMs: 3_600_000 }],
    [
      'exponential-delay:10:100:1.5:9:4',
      { kind: 'exponential-delay', initialDelayMs: 10, maxDelayMs: 100, multiplier: 1.5, resetAfterMs: 9, attempts: 4 },
    ],
  ])('reads %s', (text, expected) => {
    expect(restartStrategy(text)).toEqual(expected)
  })

  it.each([
    '',
    'always',
    'none:1',
    'fixed-delay',
    'fixed-delay:-1:5',
    'fixed-delay:1.5:5',
    'fixed-delay:3:x',
    'exponential-delay:100:10',
    'exponential-delay:1:2:0.5',
  ])('refuses %j', (text) => {
    expect(() => restartStrategy(text)).toThrow(/Give one of/)
  })
})
