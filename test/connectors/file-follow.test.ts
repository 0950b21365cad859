import { appendFileSync, renameSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { MemoryFileSystem } from '../../runtime/backends/memory/index.js'
import { fileSource, lines, ndjson } from '../../runtime/connectors/index.js'
import { SourceHarness } from '../../runtime/testing/index.js'
import { tempFolder } from '../backends/temp-folder.js'

const follow = { pollIntervalMs: 15 }

function following(path: string) {
  return SourceHarness.start(fileSource({ path, format: lines(), follow }))
}

/** On Windows an open file cannot be renamed, so a rotation looks different there. */
const onPosix = it.skipIf(process.platform === 'win32')

describe('follow', () => {
  it('gives lines as they are written and holds back an incomplete one', async () => {
    const path = join(await tempFolder(), 'app.log')
    writeFileSync(path, 'a\nb')
    const harness = await following(path)
    expect(await harness.take(1)).toEqual(['a'])
    await sleep(50)
    harness.poll()
    expect(harness.values).toEqual(['a'])
    appendFileSync(path, 'ä')
    appendFileSync(path, '\nc\n')
    expect(await harness.take(2)).toEqual(['bä', 'c'])
    await harness.close()
  })

  it('restores behind the last whole line', async () => {
    const path = join(await tempFolder(), 'app.log')
    writeFileSync(path, 'a\nhal')
    const first = await following(path)
    await first.take(1)
    const snapshot = first.snapshot()
    await first.close()
    appendFileSync(path, 'f\nb\n')
    const second = await SourceHarness.start(fileSource({ path, format: lines(), follow }), { restored: snapshot })
    expect(await second.take(2)).toEqual(['half', 'b'])
    await second.close()
  })

  onPosix('a rotation: the old file to its end, also what is written to it late, then the new one', async () => {
    const folder = await tempFolder()
    const path = join(folder, 'app.log')
    writeFileSync(path, 'a\n')
    const harness = await following(path)
    await harness.take(1)
    renameSync(path, join(folder, 'app.log.1'))
    appendFileSync(join(folder, 'app.log.1'), 'late\nlast without end')
    writeFileSync(path, 'new\n')
    expect(await harness.take(3)).toEqual(['late', 'last without end', 'new'])
    appendFileSync(path, 'more\n')
    expect(await harness.take(1)).toEqual(['more'])
    await harness.close()
  })

  it('after a rotation waits once more for a writer that still has the old file open', async () => {
    const late = new (class extends MemoryFileSystem {
      rotated = false
      writeLate = () => {}

      override async stat(path: string) {
        const found = await super.stat(path)
        if (this.rotated) this.writeLate()
        this.writeLate = () => {}
        return found
      }
    })()
    const writer = late.openAppend('app.log', 0)
    writer.write(Buffer.from('a\n'))
    const harness = await SourceHarness.start(fileSource({ path: 'app.log', format: lines(), follow, fileSystem: late }))
    await harness.take(1)
    late.writeLate = () => writer.write(Buffer.from('late\n'))
    await late.rename('app.log', 'app.log.1')
    late.openAppend('app.log', 0).write(Buffer.from('new\n'))
    late.rotated = true
    expect(await harness.take(2)).toEqual(['late', 'new'])
    await harness.close()
  })

  onPosix('waits while there is nothing at the path between the steps of a rotation', async () => {
    const folder = await tempFolder()
    const path = join(folder, 'app.log')
    writeFileSync(path, 'a\n')
    const harness = await following(path)
    await harness.take(1)
    renameSync(path, join(folder, 'app.log.1'))
    await sleep(60)
    expect(harness.poll()).toBe('waiting')
    writeFileSync(path, 'b\n')
    expect(await harness.take(1)).toEqual(['b'])
    await harness.close()
  })

  onPosix('a rotation while the job was down: the renamed file is found and read to its end first', async () => {
    const folder = await tempFolder()
    const path = join(folder, 'app.log')
    writeFileSync(path, 'a\n')
    const first = await following(path)
    await first.take(1)
    const snapshot = first.snapshot()
    await first.close()
    appendFileSync(path, 'b\n')
    renameSync(path, join(folder, 'app.log.1'))
    writeFileSync(path, 'c\n')
    const source = fileSource({ path, format: lines({ withPosition: true }), follow })
    const second = await SourceHarness.start(source, { restored: snapshot })
    const numbered = (await second.take(2)).map(({ line, lineNumber }) => `${lineNumber} ${line}`)
    expect(numbered).toEqual(['2 b', '1 c'])
    await second.close()
    unlinkSync(join(folder, 'app.log.1'))
    const third = await SourceHarness.start(source, { restored: snapshot })
    await expect(third.take(1)).rejects.toMatchObject({ code: 'SOURCE_FAILED', message: expect.stringContaining('rotated file') })
    await third.close()
  })

  it('fails when the file is truncated', async () => {
    const path = join(await tempFolder(), 'app.log')
    writeFileSync(path, 'a\nb\n')
    const harness = await following(path)
    await harness.take(2)
    truncateSync(path, 1)
    await expect(harness.take(1)).rejects.toMatchObject({ code: 'SOURCE_FAILED', message: expect.stringContaining('truncated') })
    await harness.close()
  })

  it('follows all files of a folder at once, dealt out to the readers, and finds new ones', async () => {
    const folder = await tempFolder()
    for (const name of ['a', 'b', 'c']) writeFileSync(join(folder, name), `${name}1\n`)
    const source = fileSource({ path: folder, format: lines(), follow, watch: { intervalMs: 10 } })
    const harness = await SourceHarness.start(source, { parallelism: 2 })
    expect((await harness.take(3)).sort()).toEqual(['a1', 'b1', 'c1'])
    expect(new Set(harness.records.map((record) => record.subtask))).toEqual(new Set([0, 1]))
    writeFileSync(join(folder, 'd'), 'd1\n')
    await harness.discover()
    appendFileSync(join(folder, 'b'), 'b2\n')
    expect((await harness.take(2)).sort()).toEqual(['b2', 'd1'])
    const snapshot = harness.snapshot()
    await harness.close()
    const narrow = await SourceHarness.start(source, { parallelism: 1, restored: snapshot })
    for (const name of ['a', 'b', 'c', 'd']) appendFileSync(join(folder, name), `${name}9\n`)
    expect((await narrow.take(4)).sort()).toEqual(['a9', 'b9', 'c9', 'd9'])
    await narrow.close()
  })

  it('a reader without a file ends when no new files are looked for', async () => {
    const path = join(await tempFolder(), 'app.log')
    writeFileSync(path, 'a\n')
    const harness = await SourceHarness.start(fileSource({ path, format: lines(), follow }), { parallelism: 2 })
    await harness.take(1)
    expect(harness.poll(1)).toBe('end')
    expect(harness.poll(0)).toBe('waiting')
    await harness.close()
  })

  it('names file and line of a malformed record', async () => {
    const path = join(await tempFolder(), 'app.ndjson')
    writeFileSync(path, '1\n2\n')
    const harness = await SourceHarness.start(fileSource({ path, format: ndjson<number>(), follow }))
    await harness.take(2)
    appendFileSync(path, 'x\n')
    await expect(harness.take(1)).rejects.toMatchObject({ code: 'RECORD_MALFORMED', message: expect.stringContaining('line 3') })
    await harness.close()
  })

  it('refuses gzip files', async () => {
    const path = join(await tempFolder(), 'a.gz')
    writeFileSync(path, '')
    await expect(following(path)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })
})
