import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { MemoryFileSystem } from '../../runtime/backends/memory/index.js'
import type { FileSplit } from '../../runtime/connectors/file/source/file-split.js'
import { SplitRead } from '../../runtime/connectors/file/source/split-read.js'
import { csv, type FileFormat, type FileSourceOptions, fileSource, lines, ndjson } from '../../runtime/connectors/index.js'
import { FailingFileSystem, SourceHarness } from '../../runtime/testing/index.js'

const folder = 'in'

async function filesWith(contents: Readonly<Record<string, string | Uint8Array>>): Promise<MemoryFileSystem> {
  const files = new MemoryFileSystem()
  await files.makeDir(folder)
  for (const [name, content] of Object.entries(contents)) {
    await files.makeDir(join(folder, name, '..'))
    await files.writeFileAtomic(join(folder, name), typeof content === 'string' ? Buffer.from(content) : content)
  }
  return files
}

async function readAll<T>(options: FileSourceOptions<T>, parallelism = 1): Promise<T[]> {
  const harness = await SourceHarness.start(fileSource(options), { parallelism })
  try {
    return await harness.drain()
  } finally {
    await harness.close()
  }
}

/** Reads record by record, and from each position goes on anew: every snapshot must give exactly the rest. */
async function expectRestoresEverywhere<T>(files: MemoryFileSystem, path: string, format: FileFormat<T>, chunkBytes: number, expected: readonly T[]) {
  const settings = { files, format, chunkBytes, maxRecordBytes: 1 << 20, followPollMs: undefined }
  const start: FileSplit = { splitId: path, path, start: 0, end: null, position: 0, aligned: true }
  const next = async (read: SplitRead<T>, wake: { resolve: () => void }): Promise<T | undefined> => {
    const got: T[] = []
    for (;;) {
      const progress = new Promise<void>((resolve) => {
        wake.resolve = resolve
      })
      const status = read.poll(1, (value) => got.push(value))
      if (got.length > 0) return got[0]
      if (status === 'end') return undefined
      await progress
    }
  }
  let split = start
  const seen: T[] = []
  for (;;) {
    const wake = { resolve: () => {} }
    const read = new SplitRead(split, settings, () => wake.resolve())
    const value = await next(read, wake)
    split = JSON.parse(JSON.stringify(read.snapshot())) as FileSplit
    await read.close()
    if (value === undefined) break
    seen.push(value)
  }
  expect(seen).toEqual(expected)
}

describe('lines', () => {
  const text = 'eins\r\nzwei ä€😀\n\ndrei\r\nvier'
  const expected = ['eins', 'zwei ä€😀', '', 'drei', 'vier']

  it.each([1, 2, 3, 5, 7, 1000])('cuts at \\n and \\r\\n and keeps UTF-8 whole in chunks of %i bytes', async (chunkBytes) => {
    const files = await filesWith({ a: text })
    expect(await readAll({ path: join(folder, 'a'), format: lines(), fileSystem: files, chunkBytes })).toEqual(expected)
  })

  it.each([1, 4, 1000])('restores at each position (chunks of %i bytes)', async (chunkBytes) => {
    await expectRestoresEverywhere(await filesWith({ a: `\ufeff${text}` }), join(folder, 'a'), lines(), chunkBytes, expected)
    await expectRestoresEverywhere(await filesWith({ a: '\n\r\n\nx\n' }), join(folder, 'a'), lines(), chunkBytes, ['', '', '', 'x'])
  })

  it('numbers its lines when asked, also after a restore', async () => {
    const path = join(folder, 'a')
    const positioned = expected.map((line, i) => ({ line, lineNumber: i + 1, file: path }))
    await expectRestoresEverywhere(await filesWith({ a: text }), path, lines({ withPosition: true }), 3, positioned)
  })

  it('reads an empty file, a lone line end, a BOM alone, and Latin-1', async () => {
    const files = await filesWith({ empty: '', end: '\n', bom: '\ufeff', latin: Uint8Array.of(0xe4, 10) })
    const read = (name: string, format = lines()) => readAll({ path: join(folder, name), format, fileSystem: files })
    expect(await read('empty')).toEqual([])
    expect(await read('end')).toEqual([''])
    expect(await read('bom')).toEqual([])
    expect(await read('latin', lines({ encoding: 'latin1' }))).toEqual(['ä'])
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 100])(
    'splits of %i bytes give each line once, at any parallelism, in order with one reader',
    async (splitBytes) => {
      const all = Array.from({ length: 40 }, (_, i) => 'ä'.repeat(i % 7) + i)
      const files = await filesWith({ a: `\ufeff${all.join('\n')}\n` })
      const options = { path: join(folder, 'a'), format: lines(), fileSystem: files, splitBytes, chunkBytes: 5 }
      expect(await readAll(options)).toEqual(all)
      expect((await readAll(options, 3)).sort()).toEqual([...all].sort())
    },
  )

  it('restores in the middle of byte ranges at another parallelism', async () => {
    const all = Array.from({ length: 300 }, (_, i) => `line ${i}`)
    const source = fileSource({
      path: join(folder, 'a'),
      format: lines(),
      fileSystem: await filesWith({ a: all.join('\n') }),
      splitBytes: 400,
      chunkBytes: 30,
    })
    for (let stop = 1; stop < 300; stop += 37) {
      const first = await SourceHarness.start(source, { parallelism: 3 })
      const before = await first.take(stop)
      const snapshot = first.snapshot()
      await first.close()
      const second = await SourceHarness.start(source, { parallelism: 2, restored: snapshot })
      expect([...before, ...(await second.drain())].sort()).toEqual([...all].sort())
    }
  })

  it('refuses a line longer than maxLineBytes, finished or not, and emits what comes before', async () => {
    for (const text of [`ok\n${'x'.repeat(100)}\nok\n`, `ok\n${'x'.repeat(100)}`]) {
      const files = await filesWith({ a: text })
      const options = { path: join(folder, 'a'), format: lines(), fileSystem: files, maxLineBytes: 99, chunkBytes: 10 }
      const harness = await SourceHarness.start(fileSource(options))
      await expect(harness.drain()).rejects.toMatchObject({
        code: 'RECORD_MALFORMED',
        message: expect.stringMatching(/maxLineBytes \(99\)[\s\S]*in.a, line 2/),
      })
      expect(harness.values).toEqual(['ok'])
      expect(await readAll({ ...options, maxLineBytes: 100 })).toContain('x'.repeat(100))
    }
  })

  it('is not slow by a mistake', async () => {
    const line = '83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 203'
    const files = await filesWith({ a: `${line}\n`.repeat(400_000) })
    const harness = await SourceHarness.start(fileSource({ path: join(folder, 'a'), format: lines(), fileSystem: files }))
    // By the time the processor was at it, not by the clock: this machine is shared.
    const before = process.cpuUsage()
    expect((await harness.drain()).length).toBe(400_000)
    const { user, system } = process.cpuUsage(before)
    // Far below what an idle machine gives; the benchmark measures.
    expect(400_000 / ((user + system) / 1e6)).toBeGreaterThan(200_000)
  })
})

describe('ndjson', () => {
  it('reads values, passes over empty lines, and restores at each position', async () => {
    const files = await filesWith({ a: '{"n":1}\n\n{"n":"ä"}\r\n   \n[3]' })
    await expectRestoresEverywhere(files, join(folder, 'a'), ndjson(), 3, [{ n: 1 }, { n: 'ä' }, [3]])
  })

  it('fails at a malformed line with file, line and advice', async () => {
    const files = await filesWith({ a: '{"n":1}\n{"n":\n' })
    await expect(readAll({ path: join(folder, 'a'), format: ndjson(), fileSystem: files })).rejects.toMatchObject({
      code: 'RECORD_MALFORMED',
      message: expect.stringMatching(/\{\\"n\\":[\s\S]*in.a, line 2[\s\S]*malformed: 'emit'/),
    })
  })

  it('knows the line number also in a byte range that starts in the middle', async () => {
    const files = await filesWith({ a: `${'{"n":1}\n'.repeat(50)}oops\n${'{"n":1}\n'.repeat(50)}` })
    const options = { path: join(folder, 'a'), format: ndjson<{ n: number }>(), fileSystem: files, splitBytes: 64 }
    await expect(readAll(options, 2)).rejects.toMatchObject({ code: 'RECORD_MALFORMED', message: expect.stringContaining('line 51') })
  })

  it('fails where parse throws', async () => {
    const files = await filesWith({ a: '1\n"x"\n' })
    const parse = (value: unknown) => {
      if (typeof value !== 'number') throw new Error('not a number')
      return value
    }
    await expect(readAll({ path: join(folder, 'a'), format: ndjson({ parse }), fileSystem: files })).rejects.toMatchObject({
      message: expect.stringMatching(/not a number[\s\S]*line 2/),
    })
  })

  it('emits malformed lines as elements when asked; none is lost', async () => {
    const path = join(folder, 'a')
    const files = await filesWith({ a: '{"n":1}\noops\n{"n":2}' })
    const all = await readAll({ path, format: ndjson<{ n: number }>({ malformed: 'emit' }), fileSystem: files, splitBytes: 5 })
    expect(all).toEqual([
      { ok: true, value: { n: 1 } },
      { ok: false, line: 'oops', lineNumber: 2, file: path, error: expect.stringContaining('JSON') },
      { ok: true, value: { n: 2 } },
    ])
  })
})

describe('csv', () => {
  const text = '\ufeffid,text\r\n1,"a, ""b"" ä"\r\n\r\n2,"two\nlines\r\n"\r\n3,\n4,last'
  const expected = [
    { id: '1', text: 'a, "b" ä' },
    { id: '2', text: 'two\nlines\r\n' },
    { id: '3', text: '' },
    { id: '4', text: 'last' },
  ]

  it.each([1, 2, 5, 1000])('reads quotes, delimiters and line ends in quotes, and restores at each position (chunks of %i)', async (chunkBytes) => {
    await expectRestoresEverywhere(await filesWith({ a: text }), join(folder, 'a'), csv(), chunkBytes, expected)
  })

  it('takes columns instead of a header, another delimiter, and a parse function', async () => {
    const files = await filesWith({ a: '1;x\n2;y\n', b: 'head;er\n1;x\n' })
    const format = csv({ columns: ['n', 's'], delimiter: ';', parse: (r) => ({ n: Number(r.n), s: r.s }) })
    expect(await readAll({ path: join(folder, 'a'), format, fileSystem: files })).toEqual([
      { n: 1, s: 'x' },
      { n: 2, s: 'y' },
    ])
    const renamed = csv({ columns: ['n', 's'], header: true, delimiter: ';' })
    expect(await readAll({ path: join(folder, 'b'), format: renamed, fileSystem: files })).toEqual([{ n: '1', s: 'x' }])
  })

  it('keeps the empty records of a file with one column', async () => {
    const files = await filesWith({ a: 'v\nx\n\ny\n' })
    expect(await readAll({ path: join(folder, 'a'), format: csv(), fileSystem: files })).toEqual([{ v: 'x' }, { v: '' }, { v: 'y' }])
  })

  it('understands an escape other than the quote, and white space with trim', async () => {
    const files = await filesWith({ a: 'a,b\n"x\\"y\nz",1\n', b: 'a, b\n 1 , "x, y" \n' })
    expect(await readAll({ path: join(folder, 'a'), format: csv({ escape: '\\' }), fileSystem: files })).toEqual([{ a: 'x"y\nz', b: '1' }])
    expect(await readAll({ path: join(folder, 'b'), format: csv({ trim: true }), fileSystem: files })).toEqual([{ a: '1', b: 'x, y' }])
  })

  it('fails at a malformed record with its line; records before it are emitted', async () => {
    const files = await filesWith({ a: 'a,b\n1,"x\ny"\n2\n3,z\n' })
    const harness = await SourceHarness.start(fileSource({ path: join(folder, 'a'), format: csv(), fileSystem: files }))
    await expect(harness.drain()).rejects.toMatchObject({ code: 'RECORD_MALFORMED', message: expect.stringContaining('line 4') })
    expect(harness.values).toEqual([{ a: '1', b: 'x\ny' }])
  })

  it('emits malformed records as elements: too few fields, a stray quote, a quote never closed', async () => {
    const path = join(folder, 'a')
    const files = await filesWith({ a: 'a,b\n1\n2,x\n3,y"z"\n4,"open\n5,lost\n' })
    const all = await readAll({ path, format: csv({ malformed: 'emit' }), fileSystem: files })
    expect(all).toEqual([
      { ok: false, line: '1', lineNumber: 2, file: path, error: expect.any(String) },
      { ok: true, value: { a: '2', b: 'x' } },
      { ok: false, line: '3,y"z"', lineNumber: 4, file: path, error: expect.any(String) },
      { ok: false, line: '4,"open\n5,lost', lineNumber: 5, file: path, error: expect.any(String) },
    ])
  })

  it('a quote inside a field without quotes harms only its own record', async () => {
    const path = join(folder, 'a')
    const all = await readAll({ path, format: csv({ malformed: 'emit' }), fileSystem: await filesWith({ a: 'a,b\n1,y"z\n2,x\n' }) })
    expect(all).toEqual([
      { ok: false, line: '1,y"z', lineNumber: 2, file: path, error: expect.any(String) },
      { ok: true, value: { a: '2', b: 'x' } },
    ])
  })

  it('a quote never closed does not read the whole file into memory', async () => {
    const files = await filesWith({ a: `a,b\n1,2\n3,"x\n${'y\n'.repeat(1000)}` })
    const harness = await SourceHarness.start(fileSource({ path: join(folder, 'a'), format: csv(), fileSystem: files, maxLineBytes: 200 }))
    await expect(harness.drain()).rejects.toMatchObject({ code: 'RECORD_MALFORMED', message: expect.stringMatching(/never closed[\s\S]*/) })
    expect(harness.values).toEqual([{ a: '1', b: '2' }])
  })

  it('refuses a header that names a column twice, and options that mean nothing', async () => {
    const files = await filesWith({ a: 'x,x\n1,2\n' })
    await expect(readAll({ path: join(folder, 'a'), format: csv(), fileSystem: files })).rejects.toMatchObject({ code: 'RECORD_MALFORMED' })
    for (const options of [{ delimiter: '||' }, { quote: 'ä' }, { header: false }, { columns: [] }, { columns: ['a', 'a'] }]) {
      expect(() => csv(options)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    }
  })

  it('agrees with csv-parse on random input read in random chunks', async () => {
    const { parse } = await import('csv-parse/sync')
    let seed = 7
    const random = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648
      return Math.floor((seed / 2147483648) * n)
    }
    const field = () => {
      const raw = Array.from({ length: random(4) }, () => ['a', ',', '"', '\n', '\r\n', 'ä', ' '][random(7)]).join('')
      return /[,"\n\r]/.test(raw) || random(3) === 0 ? `"${raw.replaceAll('"', '""')}"` : raw
    }
    for (let round = 0; round < 60; round++) {
      const rows = Array.from({ length: 1 + random(6) }, () => `${field()},${field()},z`)
      const text = ['a,b,c', ...rows].join(random(2) === 0 ? '\n' : '\r\n')
      const files = await filesWith({ a: text })
      const expected = parse(text, { columns: true, record_delimiter: ['\r\n', '\n'] })
      expect(await readAll({ path: join(folder, 'a'), format: csv(), fileSystem: files, chunkBytes: 1 + random(9) })).toEqual(expected)
    }
  })
})

describe('gzip', () => {
  const all = Array.from({ length: 500 }, (_, i) => `zeile ${i} ä`)

  it('decompresses by name, also several members, and restores at each position', async () => {
    const text = `${all.join('\n')}\n`
    const files = await filesWith({
      'a.gz': Buffer.concat([gzipSync(text.slice(0, 1000)), gzipSync(text.slice(1000))]),
      'small.txt.gz': gzipSync('a\nbä\nc'),
    })
    const path = join(folder, 'a.gz')
    expect(await readAll({ path, format: lines(), fileSystem: files, splitBytes: 10, chunkBytes: 64 })).toEqual(all)
    await expectRestoresEverywhere(files, join(folder, 'small.txt.gz'), lines(), 64, ['a', 'bä', 'c'])
  })

  it('restores from the middle through the source', async () => {
    const files = await filesWith({ 'a.gz': gzipSync(all.join('\n')) })
    const source = fileSource({ path: folder, format: lines(), fileSystem: files, chunkBytes: 64 })
    const first = await SourceHarness.start(source)
    const before = await first.take(123)
    const snapshot = first.snapshot()
    await first.close()
    const second = await SourceHarness.start(source, { restored: snapshot })
    expect([...before, ...(await second.drain())]).toEqual(all)
  })

  it('says when a file is cut off or no gzip', async () => {
    const whole = gzipSync(all.join('\n'))
    const files = await filesWith({ 'cut.gz': whole.subarray(0, whole.length - 20), 'not.gz': 'plain text' })
    for (const name of ['cut.gz', 'not.gz']) {
      await expect(readAll({ path: join(folder, name), format: lines(), fileSystem: files })).rejects.toMatchObject({
        code: 'SOURCE_FAILED',
        message: expect.stringContaining(name),
      })
    }
  })
})

describe('discovery', () => {
  const contents = { 'b.log': 'b', 'a.log': 'a', 'sub/c.log': 'c', '.hidden': 'x', _part: 'x', 'sub/d.txt': 'd' }
  const read = async (path: string | string[]) => readAll({ path, format: lines(), fileSystem: await filesWith(contents) })

  it('reads a folder with all below except hidden files, sorted', async () => {
    expect(await read(folder)).toEqual(['a', 'b', 'c', 'd'])
  })

  it('reads globs and lists, each file once', async () => {
    expect(await read(`${folder}/*.log`)).toEqual(['a', 'b'])
    expect(await read(`${folder}/**/*.{log,txt}`)).toEqual(['a', 'b', 'c', 'd'])
    expect(await read([join(folder, 'b.log'), folder])).toEqual(['b', 'a', 'c', 'd'])
  })

  it('names what is missing', async () => {
    for (const path of [join(folder, 'nothing.log'), `${folder}/*.csv`]) {
      await expect(read(path)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringContaining(path) })
    }
  })

  it('reads an empty folder as no records', async () => {
    const files = await filesWith({})
    expect(await readAll({ path: folder, format: lines(), fileSystem: files })).toEqual([])
  })

  it('does not read files of a bounded input that came after the first start', async () => {
    const files = await filesWith({ a: '1\n2\n3', b: '4' })
    const source = fileSource({ path: folder, format: lines(), fileSystem: files, chunkBytes: 2 })
    const first = await SourceHarness.start(source)
    const before = await first.take(1)
    const snapshot = first.snapshot()
    await first.close()
    await files.writeFileAtomic(join(folder, 'c'), Buffer.from('5'))
    const second = await SourceHarness.start(source, { restored: snapshot })
    expect([...before, ...(await second.drain())]).toEqual(['1', '2', '3', '4'])
  })

  it('deals files out to all readers', async () => {
    const files = await filesWith(Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`f${i}`, `${i}\n`])))
    const harness = await SourceHarness.start(fileSource({ path: folder, format: lines(), fileSystem: files }), { parallelism: 3 })
    await harness.drain()
    expect(new Set(harness.records.map((record) => record.subtask))).toEqual(new Set([0, 1, 2]))
    expect(harness.releasedSplits.length).toBe(9)
  })
})

describe('watch', () => {
  it('finds new files at each interval, each once, also after a restore', async () => {
    const files = await filesWith({ a: '1' })
    const source = fileSource({ path: folder, format: lines(), fileSystem: files, watch: { intervalMs: 100 } })
    expect(source.boundedness).toBe('unbounded')
    const first = await SourceHarness.start(source, { parallelism: 2 })
    expect(await first.take(1)).toEqual(['1'])
    await files.writeFileAtomic(join(folder, 'b'), Buffer.from('2\n3'))
    await first.discover()
    expect(await first.take(2)).toEqual(['2', '3'])
    await first.discover()
    await files.writeFileAtomic(join(folder, 'c'), Buffer.from('4'))
    const snapshot = first.snapshot()
    await first.close()
    const second = await SourceHarness.start(source, { restored: snapshot })
    expect(await second.take(1)).toEqual(['4'])
    await second.discover()
    expect(second.poll()).toBe('waiting')
    expect(second.values).toEqual(['4'])
    await second.close()
  })

  it('a glob may match nothing yet, a folder must exist', async () => {
    const files = await filesWith({})
    const watch = { intervalMs: 100 }
    const harness = await SourceHarness.start(fileSource({ path: `${folder}/*.log`, format: lines(), fileSystem: files, watch }))
    await files.writeFileAtomic(join(folder, 'x.log'), Buffer.from('x'))
    await harness.discover()
    expect(await harness.take(1)).toEqual(['x'])
    await harness.close()
    await expect(SourceHarness.start(fileSource({ path: 'elsewhere', format: lines(), fileSystem: files, watch }))).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    })
  })
})

describe('failures', () => {
  it('names the path of a file that cannot be read', async () => {
    const inner = await filesWith({ a: 'x\ny\n' })
    const files = new FailingFileSystem(inner, { faults: [{ call: 'read', nth: 2 }] })
    const harness = await SourceHarness.start(fileSource({ path: join(folder, 'a'), format: lines(), fileSystem: files, chunkBytes: 2 }))
    await expect(harness.drain()).rejects.toMatchObject({ code: 'STORAGE', message: expect.stringContaining(join(folder, 'a')) })
    expect(harness.values).toEqual(['x'])
    const denied = new FailingFileSystem(inner, { faults: [{ call: 'openRead', code: 'EACCES' }] })
    await expect(readAll({ path: join(folder, 'a'), format: lines(), fileSystem: denied })).rejects.toMatchObject({
      code: 'STORAGE',
      message: expect.stringContaining('permission'),
    })
  })

  it('fails when a file is shorter than what was read before a restore', async () => {
    const files = await filesWith({ a: '1\n2\n3\n4\n' })
    const source = fileSource({ path: join(folder, 'a'), format: lines(), fileSystem: files, chunkBytes: 2 })
    const first = await SourceHarness.start(source)
    await first.take(3)
    const snapshot = first.snapshot()
    await first.close()
    await files.writeFileAtomic(join(folder, 'a'), Buffer.from('1\n'))
    await expect((await SourceHarness.start(source, { restored: snapshot })).drain()).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
  })

  it('refuses options that mean nothing', () => {
    const format = lines()
    for (const options of [
      { path: '' },
      { path: [] },
      { path: 'a', splitBytes: 0 },
      { path: 'a', watch: { intervalMs: 0 } },
      { path: 'a', maxLineBytes: -1 },
    ]) {
      expect(() => fileSource({ format, ...options })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    }
  })
})
