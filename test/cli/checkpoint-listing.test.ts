import { mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { checkpointsIn } from '../../cli/checkpoint-listing.js'
import { checkpointsCommand } from '../../cli/checkpoints-command.js'
import { FileBlobStore } from '../../runtime/backends/file/index.js'
import { CheckpointStore, type Manifest } from '../../runtime/checkpoint/index.js'
import { tempFolder } from '../backends/temp-folder.js'

let dir: string

beforeEach(async () => {
  dir = await tempFolder()
})

/** A checkpoint, or a savepoint that makes the whole folder; one segment of `size` bytes. Returns the segment's file. */
async function store(folder: string, id: number, kind: Manifest['kind'], size = 100): Promise<string> {
  const checkpoints = new CheckpointStore(new FileBlobStore(folder), { root: folder, newNonce: () => `n${id}` })
  const segment = await checkpoints.writeSegment('sum', 0, id, new Uint8Array(size).fill(id))
  const operator = { uid: 'sum', name: 'sum', parallelism: 1, maxParallelism: 128, subtasks: [{ subtask: 0, keyed: [segment], operatorState: [] }] }
  await checkpoints.complete({ format: 1, job: 'bids', checkpointId: id, kind, createdAtMs: id * 1000, attempt: 0, operators: [operator] })
  return join(folder, ...segment.name.split('/'))
}

async function printed(work: () => Promise<void>): Promise<string> {
  let text = ''
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk)
    return true
  })
  await work().finally(() => write.mockRestore())
  return text
}

describe('checkpointsIn', () => {
  it('lists checkpoints and the savepoints in folders below, by time, and passes over other files', async () => {
    await store(dir, 1, 'checkpoint')
    await store(join(dir, 'before-upgrade'), 2, 'savepoint')
    await store(dir, 3, 'checkpoint', 5000)
    await writeFile(join(dir, 'control.json'), '{}')
    await mkdir(join(dir, 'notes'))
    const found = await checkpointsIn(dir)
    expect(found.map(({ kind, id, status, createdAtMs, job }) => [kind, id, status, createdAtMs, job])).toEqual([
      ['checkpoint', 1, 'valid', 1000, 'bids'],
      ['savepoint', 2, 'valid', 2000, 'bids'],
      ['checkpoint', 3, 'valid', 3000, 'bids'],
    ])
    expect((await checkpointsIn(join(dir, 'chk-3'))).map(({ id }) => id)).toEqual([3])
    expect((await checkpointsIn(join(dir, 'before-upgrade'))).map(({ id }) => id)).toEqual([2])
  })

  it('finds what is damaged', async () => {
    await truncate(await store(dir, 1, 'checkpoint'), 50)
    await store(dir, 2, 'checkpoint')
    await rm(await store(dir, 3, 'checkpoint'))
    await store(dir, 4, 'checkpoint')
    await writeFile(join(dir, 'chk-4', 'manifest.json'), '{')
    const found = await checkpointsIn(dir)
    expect(found.map(({ id, status }) => [id, status])).toEqual([
      [1, 'damaged'],
      [2, 'valid'],
      [3, 'damaged'],
      [4, 'damaged'],
    ])
  })

  it('refuses a folder that does not exist', async () => {
    await expect(checkpointsIn(join(dir, 'absent'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })
})

describe('checkpointsCommand', () => {
  it('prints sizes, operators and faults, or JSON', async () => {
    await store(dir, 7, 'checkpoint', 2048)
    await rm(await store(dir, 8, 'checkpoint'))
    const text = await printed(() => checkpointsCommand(dir, {}))
    expect(text).toMatch(/^checkpoint 7 {2}1970-01-01T00:00:07\.000Z {2}bids {2}2\.\d KiB in 1 file {2}valid\n/)
    expect(text).toMatch(/ {4}sum {2}sum {2}parallelism 1 of 128 {2}2\.\d KiB\n/)
    expect(text).toMatch(/checkpoint 8 .* damaged: .*sum-0-8-n8\.seg/)
    expect(JSON.parse(await printed(() => checkpointsCommand(dir, { json: true })))).toMatchObject([
      { id: 7, status: 'valid' },
      { id: 8, status: 'damaged' },
    ])
  })

  it('says when there is nothing', async () => {
    expect(await printed(() => checkpointsCommand(dir, {}))).toBe(`no checkpoints or savepoints in ${dir}\n`)
  })
})
