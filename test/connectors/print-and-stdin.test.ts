import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { buildSync } from 'esbuild'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { printSink } from '../../runtime/connectors/index.js'
import { printedForm } from '../../runtime/connectors/print/printed-form.js'
import { SinkHarness } from '../../runtime/testing/index.js'

/** A program of this folder as one module. */
function bundled(contents: string): string {
  const stdin = { contents, resolveDir: fileURLToPath(new URL('.', import.meta.url)) }
  return buildSync({ stdin, bundle: true, write: false, platform: 'node', format: 'esm' }).outputFiles[0].text
}

afterEach(() => vi.restoreAllMocks())

function captured(stream: 'stdout' | 'stderr'): string[] {
  const written: string[] = []
  vi.spyOn(process[stream], 'write').mockImplementation(((chunk: string, done?: (error?: Error) => void) => {
    written.push(chunk)
    if (typeof done === 'function') done()
    return true
  }) as typeof process.stdout.write)
  return written
}

describe('printSink', () => {
  it.each([
    [{}, 1, 'x\n'],
    [{ prefix: 'p' }, 1, 'p> x\n'],
    [{}, 2, '2> x\n'],
    [{ prefix: 'p' }, 2, 'p:2> x\n'],
  ])('prints as Flink does: %j with parallelism %i', async (options, parallelism, expected) => {
    const written = captured('stdout')
    const harness = await SinkHarness.open(printSink<string>(options), { parallelism })
    harness.write('x', parallelism - 1)
    await harness.finish()
    expect(written.join('')).toBe(expected)
  })

  it('writes soon without being asked, everything at a checkpoint, and to stderr when told', async () => {
    const written = captured('stderr')
    const harness = await SinkHarness.open(printSink<number>({ stderr: true }))
    harness.write(1)
    harness.write(2)
    await Promise.resolve()
    expect(written.join('')).toBe('1\n2\n')
    for (let i = 0; i < 10_000; i++) harness.write(i)
    await harness.checkpoint(1)
    expect(written.join('').split('\n').length).toBe(10_003)
    await harness.close()
  })

  it('shows any value on one line', () => {
    const values = ['text', 1, null, undefined, true, 5n, { a: 1n, s: new Set([1]), m: new Map([['k', 2]]) }, [1, 'b'], new Date(0)]
    expect(values.map(printedForm)).toEqual([
      'text',
      '1',
      'null',
      'undefined',
      'true',
      '5',
      '{"a":"1","s":[1],"m":[["k",2]]}',
      '[1,"b"]',
      '"1970-01-01T00:00:00.000Z"',
    ])
  })
})

describe('in a process of its own', () => {
  const program = bundled(`
        import { printSink } from '../../runtime/connectors/print/index.js'
        import { stdinSource } from '../../runtime/connectors/stdin/index.js'
        import { SinkHarness } from '../../runtime/testing/sink-harness.js'
        import { SourceHarness } from '../../runtime/testing/source-harness.js'
        const source = await SourceHarness.start(stdinSource(), { parallelism: 2 })
        const sink = await SinkHarness.open(printSink({ prefix: 'got' }))
        for (const line of await source.drain()) sink.write(line)
        await sink.finish()
        await source.close()
        process.exit(0)`)

  const run = (input: string) =>
    new Promise<string>((resolve, reject) => {
      const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['pipe', 'pipe', 'inherit'] })
      const output: Buffer[] = []
      child.stdout.on('data', (chunk) => output.push(chunk))
      child.on('error', reject).on('close', () => resolve(Buffer.concat(output).toString()))
      child.stdin.end(input)
    })

  it('reads standard input to its end and loses no output at exit', async () => {
    const all = Array.from({ length: 20_000 }, (_, i) => `line ${i} ä`)
    expect(await run(all.join('\n'))).toBe(all.map((line) => `got> ${line}\n`).join(''))
    expect(await run('')).toBe('')
  })
})

it('stdinSource refuses to read in a worker thread', async () => {
  const inWorker = bundled(`
    import { parentPort } from 'node:worker_threads'
    import { stdinSource } from '../../runtime/connectors/stdin/index.js'
    import { SourceHarness } from '../../runtime/testing/source-harness.js'
    const source = await SourceHarness.start(stdinSource())
    source.drain().then(() => parentPort.postMessage('no error'), error => parentPort.postMessage(error.message))`)
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(inWorker)}`))
  const message = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  await worker.terminate()
  expect(message).toMatch(/OPTION_INVALID[\s\S]*threads: 0/)
})
