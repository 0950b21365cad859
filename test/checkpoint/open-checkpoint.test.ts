import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FileBlobStore } from '../../runtime/backends/file/index.js'
import { MemoryBlobStore } from '../../runtime/backends/memory/index.js'
import { CheckpointStore, openCheckpoint } from '../../runtime/checkpoint/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { aManifest } from './manifests.js'

/** Memory stores by root; roots are compared with `\` as `/`. */
async function world(folders: Readonly<Record<string, readonly (number | 'savepoint')[]>>) {
  const stores = new Map<string, MemoryBlobStore>()
  const open = (root: string) => {
    const name = root.replaceAll('\\', '/')
    const store = stores.get(name) ?? new MemoryBlobStore()
    stores.set(name, store)
    return store
  }
  for (const [root, contents] of Object.entries(folders)) {
    for (const what of contents) {
      const manifest = what === 'savepoint' ? aManifest({ kind: 'savepoint', checkpointId: 77 }) : aManifest({ checkpointId: what })
      await new CheckpointStore(open(root)).complete(manifest)
    }
  }
  return open
}

const folders = {
  '/data/ck': [3, 12],
  ck: [1],
  '.': [8],
  '/': [6],
  'C:/': [5],
  'C:/ck': [4],
  '/save': ['savepoint'],
  '/odd/chk-9': ['savepoint'],
} as const

describe('openCheckpoint', () => {
  it.each([
    ['/data/ck', 12, '/data/ck', '/data/ck/chk-12'],
    ['/data/ck/', 12, '/data/ck', '/data/ck/chk-12'],
    ['/data/ck/chk-3', 3, '/data/ck', '/data/ck/chk-3'],
    ['/data/ck/chk-3//', 3, '/data/ck', '/data/ck/chk-3'],
    ['/data/ck/chk-3/manifest.json', 3, '/data/ck', '/data/ck/chk-3'],
    ['ck', 1, 'ck', 'ck/chk-1'],
    ['ck/chk-1', 1, 'ck', 'ck/chk-1'],
    ['chk-8', 8, '.', './chk-8'],
    ['chk-8/manifest.json', 8, '.', './chk-8'],
    ['/chk-6', 6, '/', '/chk-6'],
    ['/', 6, '/', '/chk-6'],
    ['C:\\chk-5', 5, 'C:\\', 'C:\\chk-5'],
    ['C:\\ck\\chk-4\\manifest.json', 4, 'C:\\ck', 'C:\\ck\\chk-4'],
    ['C:\\ck\\', 4, 'C:\\ck', 'C:\\ck\\chk-4'],
    ['/save', 77, '/save', '/save'],
    ['/save/manifest.json', 77, '/save', '/save'],
    ['/odd/chk-9', 77, '/odd/chk-9', '/odd/chk-9'],
    ['/odd/chk-9/manifest.json', 77, '/odd/chk-9', '/odd/chk-9'],
  ])('%s', async (path, id, root, at) => {
    const found = await openCheckpoint(path, await world(folders))
    expect(found?.manifest.checkpointId).toBe(id)
    expect(found?.store.root).toBe(root)
    expect(found?.path).toBe(at)
  })

  it('latest is that of the checkpoint folder, or a fresh start', async () => {
    const open = await world(folders)
    expect((await openCheckpoint('latest', open, '/data/ck'))?.manifest.checkpointId).toBe(12)
    expect(await openCheckpoint('latest', open, '/empty')).toBeUndefined()
    await expect(openCheckpoint('latest', open)).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' })
  })

  it.each(['/nothing', '/data/ck/chk-4', '/nothing/manifest.json', '/data/ck/chk-4/manifest.json', ''])('finds nothing at "%s"', async (path) => {
    await expect(openCheckpoint(path, await world({}))).rejects.toThrow(/CHECKPOINT_NOT_FOUND(.|\n)*what to do/)
  })

  it('does not take another checkpoint for a damaged one', async () => {
    const open = await world(folders)
    const blobs = open('/data/ck')
    await blobs.delete('chk-3/manifest.json')
    await blobs.put('chk-3/manifest.json', new Uint8Array(5))
    await expect(openCheckpoint('/data/ck/chk-3', open)).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' })
  })

  it('works on files', async () => {
    const dir = await tempFolder()
    const open = (root: string) => new FileBlobStore(root)
    const store = new CheckpointStore(open(dir), { root: dir, newNonce: () => 'n' })
    const ref = await store.writeSegment('a/b', 0, 2, new Uint8Array([1, 2, 3]))
    const { path } = await store.complete(aManifest({ checkpointId: 2 }))
    for (const at of [dir, path, join(path, 'manifest.json')]) {
      const found = await openCheckpoint(at, open)
      expect(found?.manifest.checkpointId).toBe(2)
      expect(await found?.store.readSegment(ref)).toEqual(expect.objectContaining({ length: 3 }))
    }
    await store.retain(1)
    expect(await store.blobs.list('')).toEqual(['chk-2/manifest.json'])
    await expect(openCheckpoint(join(dir, 'absent'), open)).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' })
  })
})
