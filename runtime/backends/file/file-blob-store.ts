import { dirname, join } from 'node:path'
import type { BlobStore, ByteRange, FileSystem } from '../../ports/index.js'
import { blobNameOf, fileSegmentsOf } from './blob-file-name.js'
import { ASIDE_SUFFIX, nodeFileSystem } from './node-file-system.js'
import { storageError } from './storage-error.js'

/**
 * Blobs as files below one folder; the segments of a name are folders, so `a` and `a/b` cannot both be blobs. Meant for the processes of one job: two processes that put the
 * same name at the same moment may both be told `stored`. Failures are STORAGE errors with the file's path.
 */
export class FileBlobStore implements BlobStore {
  readonly #folder: string
  readonly #files: FileSystem
  /** Names being written, so that two concurrent puts of one name have one winner. */
  readonly #writing = new Map<string, Promise<'stored' | 'exists'>>()

  constructor(folder: string, files: FileSystem = nodeFileSystem) {
    this.#folder = folder
    this.#files = files
  }

  async put(name: string, bytes: Uint8Array): Promise<'stored' | 'exists'> {
    const path = this.#pathOf(name)
    const other = this.#writing.get(name)
    // A put that fails leaves the name free for the next one.
    if (other !== undefined && (await other.catch(() => 'failed')) !== 'failed') return 'exists'
    const write = this.#write(path, bytes)
    this.#writing.set(name, write)
    try {
      return await write
    } finally {
      if (this.#writing.get(name) === write) this.#writing.delete(name)
    }
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return this.#read(name, (path) => this.#files.readFile(path))
  }

  getRange(name: string, { from, to }: ByteRange): Promise<Uint8Array | undefined> {
    return this.#read(name, async (path) => {
      const file = await this.#files.openRead(path)
      try {
        return await file.read(from, to - from)
      } finally {
        await file.close()
      }
    })
  }

  async #read(name: string, read: (path: string) => Promise<Uint8Array>): Promise<Uint8Array | undefined> {
    const path = this.#pathOf(name)
    try {
      const stat = await this.#files.stat(path)
      if (stat === undefined || stat.isDirectory) return undefined
      return await read(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw storageError(error, path, 'reading a blob')
    }
  }

  async list(prefix: string): Promise<string[]> {
    const names: string[] = []
    await this.#walk([], prefix, names)
    return names.sort()
  }

  async delete(name: string): Promise<void> {
    const path = this.#pathOf(name)
    try {
      const stat = await this.#files.stat(path)
      if (stat?.isDirectory === false) await this.#files.remove(path)
      // A folder goes with its last blob, so that years of checkpoints leave no empty ones.
      if (dirname(path) !== join(this.#folder)) await this.#files.removeEmptyDir(dirname(path))
    } catch (error) {
      throw storageError(error, path, 'deleting a blob')
    }
  }

  async #write(path: string, bytes: Uint8Array): Promise<'stored' | 'exists'> {
    try {
      const stat = await this.#files.stat(path)
      if (stat?.isDirectory === false) return 'exists'
      await this.#writeNew(path, bytes)
      return 'stored'
    } catch (error) {
      throw storageError(error, path, 'writing a blob')
    }
  }

  /** Its folder may go between the two steps, when another blob in it was the last and is deleted. */
  async #writeNew(path: string, bytes: Uint8Array): Promise<void> {
    try {
      await this.#files.makeDir(dirname(path))
      await this.#files.writeFileAtomic(path, bytes)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      await this.#files.makeDir(dirname(path))
      await this.#files.writeFileAtomic(path, bytes)
    }
  }

  async #walk(segments: readonly string[], prefix: string, names: string[]): Promise<void> {
    const folder = join(this.#folder, ...segments)
    try {
      for (const entry of await this.#files.list(folder)) {
        if (entry.endsWith(ASIDE_SUFFIX) && entry.startsWith('.')) continue
        const path = [...segments, entry]
        const name = blobNameOf(path)
        const stat = await this.#files.stat(join(folder, entry))
        if (stat?.isDirectory === true) {
          if (`${name}/`.startsWith(prefix) || prefix.startsWith(`${name}/`)) await this.#walk(path, prefix, names)
        } else if (stat !== undefined && name.startsWith(prefix)) {
          names.push(name)
        }
      }
    } catch (error) {
      throw storageError(error, folder, 'listing blobs')
    }
  }

  #pathOf(name: string): string {
    return join(this.#folder, ...fileSegmentsOf(name))
  }
}
