import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FileBlobStore, NodeFileSystem, storageError } from '../../runtime/backends/file/index.js'
import { MemoryBlobStore, MemoryFileSystem } from '../../runtime/backends/memory/index.js'
import { FailingFileSystem } from '../../runtime/testing/failing-file-system.js'
import { blobStoreContract } from './blob-store-contract.js'
import { fileSystemContract } from './file-system-contract.js'
import { tempFolder } from './temp-folder.js'

const memory = async () => {
  const files = new MemoryFileSystem()
  await files.makeDir('work')
  return { files, folder: 'work' }
}

fileSystemContract('memory', memory)
fileSystemContract('node', async () => ({ files: new NodeFileSystem(), folder: await tempFolder() }))
fileSystemContract('failing, without faults', async () => {
  const { files, folder } = await memory()
  return { files: new FailingFileSystem(files), folder }
})

blobStoreContract('memory', async () => new MemoryBlobStore())
blobStoreContract('file', async () => new FileBlobStore(await tempFolder()))
blobStoreContract('file on memory', async () => new FileBlobStore('blobs', new MemoryFileSystem()))

describe('NodeFileSystem', () => {
  it('leaves neither a file nor an aside when an atomic write fails', async () => {
    const files = new NodeFileSystem()
    const folder = await tempFolder()
    await files.makeDir(join(folder, 'taken'))
    await expect(files.writeFileAtomic(join(folder, 'taken'), Uint8Array.of(1))).rejects.toThrow()
    expect(await files.list(folder)).toEqual(['taken'])
  })

  it('a handle closed during a flush closes after it, and takes no more writes', async () => {
    const handle = new NodeFileSystem().openAppend(join(await tempFolder(), 'a'), 0)
    handle.write(Uint8Array.of(1))
    const flushed = handle.sync()
    handle.close()
    handle.close()
    await flushed
    expect(() => handle.write(Uint8Array.of(2))).toThrow('closed file')
    await expect(handle.sync()).rejects.toThrow('closed file')
  })
})

describe('FileBlobStore', () => {
  it('names the path when the disk is full, and the name stays free', async () => {
    const files = new FailingFileSystem(new MemoryFileSystem(), { capacityBytes: 3 })
    const store = new FileBlobStore('blobs', files)
    await expect(store.put('a/b', new Uint8Array(10))).rejects.toMatchObject({
      code: 'STORAGE',
      message: expect.stringContaining(join('blobs', 'a', 'b')),
    })
    files.heal()
    expect(await store.get('a/b')).toBeUndefined()
    expect(await store.put('a/b', new Uint8Array(10))).toBe('stored')
  })

  it('turns a read error into STORAGE', async () => {
    const files = new FailingFileSystem(new MemoryFileSystem(), { faults: [{ call: 'readFile' }, { call: 'list' }, { call: 'remove' }] })
    const store = new FileBlobStore('blobs', files)
    await store.put('a', Uint8Array.of(1))
    await expect(store.get('a')).rejects.toMatchObject({ code: 'STORAGE' })
    await expect(store.list('')).rejects.toMatchObject({ code: 'STORAGE' })
    await expect(store.delete('a')).rejects.toMatchObject({ code: 'STORAGE' })
    expect([...((await store.get('a')) as Uint8Array)]).toEqual([1])
  })

  it('does not list what an interrupted write left behind', async () => {
    const files = new MemoryFileSystem()
    await files.makeDir('blobs')
    await files.writeFileAtomic(join('blobs', '.a.1-1.aside'), Uint8Array.of(1))
    expect(await new FileBlobStore('blobs', files).list('')).toEqual([])
  })
})

describe('FailingFileSystem', () => {
  it('fails the nth call of a kind on a path, or every one from it on', async () => {
    const files = new FailingFileSystem(new MemoryFileSystem(), {
      faults: [
        { call: 'stat', nth: 2, path: 'x' },
        { call: 'list', every: true, code: 'EACCES' },
      ],
    })
    await files.stat('x')
    await files.stat('y')
    await expect(files.stat('x')).rejects.toMatchObject({ code: 'EIO' })
    await files.stat('x')
    await expect(files.list('.')).rejects.toMatchObject({ code: 'EACCES' })
    await expect(files.list('.')).rejects.toMatchObject({ code: 'EACCES' })
    files.heal()
    await files.list('.')
    expect(files.calls.get('stat')).toBe(4)
  })

  it('fills up: what fits is written, the rest is ENOSPC', async () => {
    const inner = new MemoryFileSystem()
    const files = new FailingFileSystem(inner, { capacityBytes: 5 })
    const handle = files.openAppend('a', 0)
    handle.write(Uint8Array.of(1, 2, 3))
    expect(() => handle.write(Uint8Array.of(4, 5, 6))).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
    expect([...(await inner.readFile('a'))]).toEqual([1, 2, 3, 4, 5])
  })
})

describe('storageError', () => {
  it('says what to do, by the code', () => {
    const full = storageError(Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' }), '/data/out', 'writing the file')
    expect(full.code).toBe('STORAGE')
    expect(full.message).toContain('/data/out')
    expect(full.message).toContain('make room')
    expect(storageError(Object.assign(new Error('x'), { code: 'ENOENT' }), 'p', 'reading').code).toBe('FILE_NOT_FOUND')
    expect(storageError(full, 'other', 'again')).toBe(full)
  })
})
