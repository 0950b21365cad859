import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { FileSystem } from '../../runtime/ports/index.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (from: Uint8Array) => new TextDecoder().decode(from)

/** What every FileSystem does. `open` gives a fresh one and an empty folder in it. */
export function fileSystemContract(name: string, open: () => Promise<{ readonly files: FileSystem; readonly folder: string }>): void {
  describe(`FileSystem: ${name}`, () => {
    it('writes a file whole and reads it back', async () => {
      const { files, folder } = await open()
      await files.writeFileAtomic(join(folder, 'a'), bytes('one'))
      await files.writeFileAtomic(join(folder, 'a'), bytes('zwö'))
      expect(text(await files.readFile(join(folder, 'a')))).toBe('zwö')
      expect(await files.list(folder)).toEqual(['a'])
    })

    it('says ENOENT for what is missing, and nothing for stat, list and remove', async () => {
      const { files, folder } = await open()
      const missing = join(folder, 'no', 'such')
      await expect(files.readFile(missing)).rejects.toMatchObject({ code: 'ENOENT' })
      await expect(files.openRead(missing)).rejects.toMatchObject({ code: 'ENOENT' })
      await expect(files.rename(missing, join(folder, 'b'))).rejects.toMatchObject({ code: 'ENOENT' })
      await expect(files.writeFileAtomic(missing, bytes('x'))).rejects.toMatchObject({ code: 'ENOENT' })
      expect(() => files.openAppend(missing, 0)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
      expect(await files.stat(missing)).toBeUndefined()
      expect(await files.list(missing)).toEqual([])
      await files.remove(missing)
    })

    it('makes folders, lists names sorted, and removes a folder whole', async () => {
      const { files, folder } = await open()
      await files.makeDir(join(folder, 'x', 'y'))
      await files.makeDir(join(folder, 'x', 'y'))
      await files.writeFileAtomic(join(folder, 'x', 'y', 'f'), bytes('f'))
      await files.writeFileAtomic(join(folder, 'b'), bytes('b'))
      await files.writeFileAtomic(join(folder, 'C'), bytes('C'))
      expect(await files.list(folder)).toEqual(['C', 'b', 'x'])
      expect(await files.stat(join(folder, 'x'))).toMatchObject({ isDirectory: true })
      await files.remove(join(folder, 'x'))
      expect(await files.list(folder)).toEqual(['C', 'b'])
    })

    it('renames over an existing file and keeps the fileId', async () => {
      const { files, folder } = await open()
      await files.writeFileAtomic(join(folder, 'a'), bytes('new'))
      await files.writeFileAtomic(join(folder, 'b'), bytes('old'))
      const before = await files.stat(join(folder, 'a'))
      await files.rename(join(folder, 'a'), join(folder, 'b'))
      expect(await files.stat(join(folder, 'b'))).toMatchObject({ fileId: before?.fileId, size: 3, isDirectory: false })
      expect(text(await files.readFile(join(folder, 'b')))).toBe('new')
      expect(await files.list(folder)).toEqual(['b'])
    })

    it('appends at a position, cutting off what lies behind', async () => {
      const { files, folder } = await open()
      const path = join(folder, 'log')
      const first = files.openAppend(path, 0)
      first.write(bytes('hello '))
      first.write(bytes('world'))
      expect(first.size).toBe(11)
      await first.sync()
      first.close()
      const second = files.openAppend(path, 6)
      expect(second.size).toBe(6)
      second.write(bytes('all'))
      second.close()
      expect(text(await files.readFile(path))).toBe('hello all')
    })

    it('refuses to append behind the end', async () => {
      const { files, folder } = await open()
      await files.writeFileAtomic(join(folder, 'a'), bytes('abc'))
      expect(() => files.openAppend(join(folder, 'a'), 4)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
      expect(text(await files.readFile(join(folder, 'a')))).toBe('abc')
    })

    it('reads ranges, fewer bytes at the end and none behind it', async () => {
      const { files, folder } = await open()
      await files.writeFileAtomic(join(folder, 'a'), bytes('abcdef'))
      const handle = await files.openRead(join(folder, 'a'))
      expect(text(await handle.read(1, 3))).toBe('bcd')
      expect(text(await handle.read(4, 100))).toBe('ef')
      expect((await handle.read(6, 10)).length).toBe(0)
      expect((await handle.read(60, 10)).length).toBe(0)
      await handle.close()
    })

    it('an open file sees what is appended, and survives its rename', async () => {
      const { files, folder } = await open()
      const path = join(folder, 'log')
      const writer = files.openAppend(path, 0)
      writer.write(bytes('1'))
      const reader = await files.openRead(path)
      if (process.platform !== 'win32') await files.rename(path, join(folder, 'log.1'))
      writer.write(bytes('2'))
      expect(text(await reader.read(0, 10))).toBe('12')
      await reader.close()
      writer.close()
    })
  })
}
