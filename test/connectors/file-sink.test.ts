import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NodeFileSystem } from '../../runtime/backends/file/index.js'
import { MemoryFileSystem } from '../../runtime/backends/memory/index.js'
import { csv, csvFormat, type FileSinkOptions, fileSink, fileSource, ndjson, ndjsonFormat, textFormat } from '../../runtime/connectors/index.js'
import type { FileSystem } from '../../runtime/ports/index.js'
import { FailingFileSystem, SinkHarness, SourceHarness } from '../../runtime/testing/index.js'
import { tempFolder } from '../backends/temp-folder.js'

const out = 'out'
const text = { path: out, format: textFormat<string>() }
const single = { path: join(out, 'all.txt'), format: textFormat<string>(), layout: 'file' as const }

const open = <T>(options: FileSinkOptions<T>, more: object = {}) => SinkHarness.open(fileSink(options), more)

async function contents(files: FileSystem, folder = out): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of await files.list(folder)) found[name] = Buffer.from(await files.readFile(join(folder, name))).toString()
  return found
}

/** All lines that a reader of the folder sees, sorted. */
async function visible(files: FileSystem): Promise<string[]> {
  const found = await contents(files)
  return Object.keys(found)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => found[name].split('\n').filter((line) => line !== ''))
    .sort()
}

describe('folder layout', () => {
  it('shows nothing before a checkpoint is complete, then part files by subtask and epoch', async () => {
    const files = new MemoryFileSystem()
    const harness = await open({ ...text, fileSystem: files }, { parallelism: 2 })
    harness.write('a', 0)
    harness.write('b', 1)
    await harness.checkpoint(1)
    harness.write('c', 0)
    expect(await visible(files)).toEqual([])
    await harness.complete(1)
    expect(await contents(files)).toEqual({ 'part-0-1-0.txt': 'a\n', 'part-1-1-0.txt': 'b\n' })
    await harness.checkpoint(2)
    await harness.checkpoint(3)
    harness.write('d', 0)
    await harness.complete(3)
    await harness.finish()
    expect(await contents(files)).toEqual({ 'part-0-1-0.txt': 'a\n', 'part-0-2-0.txt': 'c\n', 'part-0-4-0.txt': 'd\n', 'part-1-1-0.txt': 'b\n' })
  })

  it('without checkpoints commits everything at the end of input', async () => {
    const files = new MemoryFileSystem()
    const harness = await open({ ...text, fileSystem: files })
    for (let i = 0; i < 100_000; i++) harness.write(`line ${i} ä`)
    expect(await visible(files)).toEqual([])
    await harness.finish()
    expect((await visible(files)).length).toBe(100_000)
  })

  it('rolls by size and by age, with names that depend on the records only', async () => {
    const files = new MemoryFileSystem()
    let now = 0
    const harness = await open({ ...text, fileSystem: files, rolling: { maxBytes: 4, maxAgeMs: 100 } }, { now: () => now })
    for (const value of ['a', 'b', 'ccc', 'd']) harness.write(value)
    now = 100
    harness.write('e')
    await harness.finish()
    expect(await contents(files)).toEqual({ 'part-0-1-0.txt': 'a\nb\n', 'part-0-1-1.txt': 'ccc\n', 'part-0-1-2.txt': 'd\n', 'part-0-1-3.txt': 'e\n' })
  })

  it('a value longer than the buffer, and one that just fits, come out whole and in order', async () => {
    const files = new MemoryFileSystem()
    const values = ['a', 'ä'.repeat(300_000), 'b', 'x'.repeat(87_381), '€'.repeat(87_300), 'c']
    const harness = await open({ ...text, fileSystem: files })
    for (const value of values) harness.write(value)
    await new Promise((resolve) => setImmediate(resolve))
    for (const value of values) harness.write(value)
    await harness.finish()
    expect((await contents(files))['part-0-1-0.txt']).toBe([...values, ...values].map((value) => `${value}\n`).join(''))
  })

  it('commits again without harm, and in order with several checkpoints pending', async () => {
    const files = new MemoryFileSystem()
    const harness = await open({ ...text, fileSystem: files })
    harness.write('a')
    await harness.checkpoint(1)
    harness.write('b')
    const snapshot = await harness.checkpoint(2)
    expect(snapshot.committables.length).toBe(2)
    await harness.complete(2)
    const again = await open({ ...text, fileSystem: files }, { restored: snapshot })
    await again.finish()
    expect(await contents(files)).toEqual({ 'part-0-1-0.txt': 'a\n', 'part-0-2-0.txt': 'b\n' })
  })

  it('refuses to go on when a file that a checkpoint names is gone', async () => {
    const files = new MemoryFileSystem()
    const harness = await open({ ...text, fileSystem: files })
    harness.write('a')
    const snapshot = await harness.checkpoint(1)
    await files.remove(join(out, '.part-0-1-0.txt.inprogress'))
    await expect(open({ ...text, fileSystem: files }, { restored: snapshot })).rejects.toMatchObject({
      code: 'CHECKPOINT_CORRUPT',
      message: expect.stringContaining('part-0-1-0.txt'),
    })
  })

  it.each([1, 2, 3, 5])(
    'a crash after the checkpoint: restored at parallelism %i, leftovers are gone and every record is there once',
    async (parallelism) => {
      const files = new MemoryFileSystem()
      const crashed = await open({ ...text, fileSystem: files, rolling: { maxBytes: 2 } }, { parallelism: 3 })
      for (const subtask of [0, 1, 2]) crashed.write(`${subtask}`, subtask)
      const snapshot = await crashed.checkpoint(1)
      for (const subtask of [0, 1, 2]) for (const n of [1, 2]) crashed.write(`lost-${subtask}-${n}`, subtask)
      await crashed.checkpoint(2)
      expect(Object.keys(await contents(files)).length).toBe(9)
      const restored = await open({ ...text, fileSystem: files }, { parallelism, restored: snapshot, attemptNumber: 1 })
      for (const value of ['x', 'y', 'z']) restored.write(value, value.charCodeAt(0) % parallelism)
      await restored.finish()
      expect(await visible(files)).toEqual(['0', '1', '2', 'x', 'y', 'z'])
      expect((await files.list(out)).filter((name) => name.startsWith('.'))).toEqual([])
    },
  )

  it('a restore from an older checkpoint takes back output that was visible already', async () => {
    const files = new MemoryFileSystem()
    const first = await open({ ...text, fileSystem: files })
    first.write('a')
    const old = await first.checkpoint(1)
    await first.complete(1)
    first.write('b')
    await first.checkpoint(2)
    await first.complete(2)
    await first.finish()
    const again = await open({ ...text, fileSystem: files }, { restored: old })
    again.write('b2')
    await again.finish()
    expect(await visible(files)).toEqual(['a', 'b2'])
  })

  it('refuses existing output at a fresh start unless it may be overwritten or this run wrote it', async () => {
    const files = new MemoryFileSystem()
    const first = await open({ ...text, fileSystem: files }, { parallelism: 2 })
    first.write('a', 1)
    await first.finish()
    const second = await open({ ...text, fileSystem: files })
    second.write('b')
    await expect(second.finish()).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.stringMatching(/exists already[\s\S]*overwrite/) })
    expect(await visible(files)).toEqual(['a'])
    const restarted = await open({ ...text, fileSystem: files }, { attemptNumber: 1 })
    restarted.write('c')
    await restarted.finish()
    expect(await visible(files)).toEqual(['c'])
    const third = await open({ ...text, fileSystem: files, overwrite: true })
    third.write('d')
    await third.finish()
    expect(await visible(files)).toEqual(['d'])
  })

  it('leaves other files in the folder alone, and removes its open file when the job is cancelled', async () => {
    const files = new MemoryFileSystem()
    await files.makeDir(out)
    for (const name of ['part-x.txt', '.part-0-1-0.inprogress', 'readme']) await files.writeFileAtomic(join(out, name), Buffer.from('keep'))
    const harness = await open({ ...text, fileSystem: files, overwrite: true })
    await new Promise((resolve) => setImmediate(resolve))
    for (let i = 0; i < 10; i++) harness.write('x'.repeat(100_000))
    expect((await files.list(out)).length).toBe(4)
    await harness.close()
    expect(await files.list(out)).toEqual(['.part-0-1-0.inprogress', 'part-x.txt', 'readme'])
  })

  it('goes on after the folder was moved', async () => {
    const files = new MemoryFileSystem()
    const harness = await open({ ...text, fileSystem: files })
    harness.write('a')
    const snapshot = await harness.checkpoint(1)
    await files.rename(out, 'moved')
    const restored = await open({ ...text, path: 'moved', fileSystem: files }, { restored: snapshot })
    await restored.finish()
    expect(await contents(files, 'moved')).toEqual({ 'part-0-1-0.txt': 'a\n' })
  })
})

describe('single file', () => {
  it('grows with each complete checkpoint', async () => {
    const files = new MemoryFileSystem()
    const harness = await open({ ...single, fileSystem: files })
    harness.write('a')
    await harness.checkpoint(1)
    harness.write('b')
    await harness.checkpoint(2)
    expect(await visible(files)).toEqual([])
    await harness.complete(1)
    expect((await contents(files))['all.txt']).toBe('a\n')
    harness.write('c')
    await harness.complete(2)
    await harness.finish()
    expect(await contents(files)).toEqual({ 'all.txt': 'a\nb\nc\n' })
  })

  it('needs one writer', async () => {
    await expect(open({ ...single, fileSystem: new MemoryFileSystem() }, { parallelism: 2 })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining('setParallelism(1)'),
    })
  })

  it('commits again without harm after any crash in between', async () => {
    // Crash at every call of the file system that the commit of two checkpoints makes, then restore.
    for (let nth = 1; ; nth++) {
      const inner = new MemoryFileSystem()
      const files = new FailingFileSystem(inner)
      const harness = await open({ ...single, fileSystem: files })
      harness.write('a')
      await harness.checkpoint(1)
      harness.write('b')
      const snapshot = await harness.checkpoint(2)
      let calls = 0
      const crashing = new Proxy(inner, {
        get(target, call: keyof MemoryFileSystem) {
          return (...args: never[]) => {
            calls += 1
            if (calls === nth) throw Object.assign(new Error('crash'), { code: 'EIO' })
            return (target[call] as (...args: never[]) => unknown)(...args)
          }
        },
      })
      const committer = fileSink({ ...single, fileSystem: crashing }).createCommitter?.({} as never)
      const crashed = await Promise.resolve(committer?.commit(snapshot.committables)).then(
        () => false,
        () => true,
      )
      const restored = await open({ ...single, fileSystem: inner }, { restored: snapshot, attemptNumber: 1 })
      restored.write('c')
      await restored.finish()
      expect(await contents(inner)).toEqual({ 'all.txt': 'a\nb\nc\n' })
      if (!crashed) break
      expect(nth).toBeLessThan(40)
    }
  })

  it('cuts off what a failed attempt wrote behind the checkpoint, also when nothing new comes', async () => {
    const files = new MemoryFileSystem()
    const first = await open({ ...single, fileSystem: files })
    first.write('a')
    const old = await first.checkpoint(1)
    await first.complete(1)
    first.write('later')
    await first.finish()
    expect((await contents(files))['all.txt']).toBe('a\nlater\n')
    const again = await open({ ...single, fileSystem: files }, { restored: old })
    await again.finish()
    expect(await contents(files)).toEqual({ 'all.txt': 'a\n' })
  })

  it('epochs without records do no harm when they are committed again', async () => {
    const files = new MemoryFileSystem()
    const first = await open({ ...single, fileSystem: files })
    first.write('a')
    await first.checkpoint(1)
    await first.checkpoint(2)
    first.write('b')
    const snapshot = await first.checkpoint(3)
    await first.complete(3)
    for (let round = 0; round < 2; round++)
      await fileSink({ ...single, fileSystem: files })
        .createCommitter?.({} as never)
        .commit(snapshot.committables)
    expect((await contents(files))['all.txt']).toBe('a\nb\n')
  })

  it('refuses when the target was cut or the hidden file is gone', async () => {
    const files = new MemoryFileSystem()
    const harness = await open({ ...single, fileSystem: files })
    harness.write('abc')
    await harness.checkpoint(1)
    await harness.complete(1)
    harness.write('def')
    const snapshot = await harness.checkpoint(2)
    files.openAppend(single.path, 2).close()
    const corrupt = { code: 'CHECKPOINT_CORRUPT', message: expect.stringContaining('all.txt') }
    await expect(open({ ...single, fileSystem: files }, { restored: snapshot })).rejects.toMatchObject(corrupt)
    for (const name of await files.list(out)) if (name.includes('pending')) await files.remove(join(out, name))
    await expect(open({ ...single, fileSystem: files }, { restored: snapshot })).rejects.toMatchObject(corrupt)
  })

  it('refuses an existing file at a fresh start unless it may be overwritten', async () => {
    const files = new MemoryFileSystem()
    await files.makeDir(out)
    await files.writeFileAtomic(single.path, Buffer.from('precious'))
    const refused = await open({ ...single, fileSystem: files })
    refused.write('x')
    await expect(refused.checkpoint(1)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    expect(await contents(files)).toEqual({ 'all.txt': 'precious' })
    const allowed = await open({ ...single, fileSystem: files, overwrite: true })
    allowed.write('new')
    await allowed.finish()
    expect(await contents(files)).toEqual({ 'all.txt': 'new\n' })
  })

  it('writes a header once', async () => {
    const files = new MemoryFileSystem()
    const options = { path: join(out, 'a.csv'), layout: 'file' as const, fileSystem: files, format: csvFormat<{ a: number }>({ columns: ['a'] }) }
    const first = await open(options)
    await first.checkpoint(1)
    first.write({ a: 1 })
    const snapshot = await first.checkpoint(2)
    const second = await open(options, { restored: snapshot })
    second.write({ a: 2 })
    await second.finish()
    expect(await contents(files)).toEqual({ 'a.csv': 'a\n1\n2\n' })
  })
})

describe('failures', () => {
  it.each([
    ['folder', text],
    ['file', single],
  ])('a full disk names the path and what to do, and never passes for success (%s)', async (_, options) => {
    const files = new FailingFileSystem(new MemoryFileSystem(), { capacityBytes: 300_000 })
    const harness = await open({ ...options, fileSystem: files })
    await new Promise((resolve) => setImmediate(resolve))
    const write = () => {
      for (let i = 0; i < 10; i++) harness.write('x'.repeat(80_000))
    }
    const full = { code: 'STORAGE', message: expect.stringMatching(/out[\s\S]*make room/) }
    expect(write).toThrow(expect.objectContaining(full))
    files.heal()
    await expect(harness.checkpoint(1)).rejects.toMatchObject(full)
  })

  it('a full disk at the checkpoint, and an fsync that fails, fail the checkpoint', async () => {
    for (const script of [
      { capacityBytes: 1 },
      { faults: [{ call: 'sync' as const }] },
      { faults: [{ call: 'makeDir' as const, code: 'EACCES' }] },
    ]) {
      const harness = await open({ ...text, fileSystem: new FailingFileSystem(new MemoryFileSystem(), script) })
      harness.write('abc')
      await expect(harness.checkpoint(1)).rejects.toMatchObject({ code: 'STORAGE' })
    }
  })

  it('a rename that fails can be tried again', async () => {
    const inner = new MemoryFileSystem()
    const files = new FailingFileSystem(inner, { faults: [{ call: 'rename' }] })
    const harness = await open({ ...text, fileSystem: files })
    harness.write('a')
    await harness.checkpoint(1)
    await expect(harness.complete(1)).rejects.toMatchObject({ code: 'STORAGE' })
    await harness.complete(1)
    expect(await visible(inner)).toEqual(['a'])
  })

  it('refuses values that JSON cannot hold, and options that mean nothing', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    for (const value of [1n, cycle, undefined, () => 1]) {
      expect(() => ndjsonFormat<unknown>().encode(value)).toThrow(expect.objectContaining({ code: 'RECORD_UNSERIALISABLE' }))
    }
    const format = ndjsonFormat()
    for (const options of [{ path: '' }, { path: 'a', rolling: { maxBytes: 0 } }, { path: 'a', layout: 'file' as const, rolling: { maxBytes: 9 } }]) {
      expect(() => fileSink({ format, ...options })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    }
    expect(() => csvFormat({ columns: [] })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  })
})

describe('round trips on the disk', () => {
  const values = [
    { n: 1, s: 'plain' },
    { n: -2.5, s: 'quote " comma , end\r\nline ä😀' },
    { n: 0, s: '' },
  ]

  it.each(['folder', 'file'] as const)('ndjson through %s', async (layout) => {
    const path = join(await tempFolder(), 'sub', 'out')
    const harness = await open({ path, format: ndjsonFormat<(typeof values)[0]>(), layout, fileSystem: new NodeFileSystem() })
    for (const value of values) harness.write(value)
    await harness.checkpoint(1)
    await harness.complete(1)
    for (const value of values) harness.write(value)
    await harness.finish()
    const source = await SourceHarness.start(fileSource({ path, format: ndjson() }))
    expect(await source.drain()).toEqual([...values, ...values])
    await source.close()
  })

  it('csv, with dates, objects and missing values', async () => {
    const path = join(await tempFolder(), 'out')
    const rows = [{ n: 1, s: 'a,"b"\nc', d: new Date(0), o: { x: [1] }, u: undefined }]
    const harness = await open({ path, format: csvFormat<(typeof rows)[0]>({ columns: ['n', 's', 'd', 'o', 'u'] }) })
    for (const row of rows) harness.write(row)
    await harness.finish()
    const source = await SourceHarness.start(fileSource({ path, format: csv() }))
    expect(await source.drain()).toEqual([{ n: '1', s: 'a,"b"\nc', d: '1970-01-01T00:00:00.000Z', o: '{"x":[1]}', u: '' }])
    await source.close()
  })

  it('csv of one column keeps empty values', async () => {
    const path = join(await tempFolder(), 'out')
    const harness = await open({ path, format: csvFormat<{ v: string }>({ columns: ['v'] }) })
    for (const v of ['a', '', 'b']) harness.write({ v })
    await harness.finish()
    const source = await SourceHarness.start(fileSource({ path, format: csv() }))
    expect(await source.drain()).toEqual([{ v: 'a' }, { v: '' }, { v: 'b' }])
    await source.close()
  })
})
