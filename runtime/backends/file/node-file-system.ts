import { closeSync, fstatSync, fsync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { assert } from '../../core/index.js'
import type { AppendHandle, FileStat, FileSystem, ReadHandle } from '../../ports/index.js'

/** Files that writeFileAtomic has not renamed yet: hidden, and recognisable when a crash leaves one behind. */
export const ASIDE_SUFFIX = '.aside'

let asides = 0

/** The FileSystem port on node:fs. `remove` takes a folder with all it holds. Renames and atomic writes also flush the folder where the platform can. */
export class NodeFileSystem implements FileSystem {
  async readFile(path: string): Promise<Uint8Array> {
    return readFile(path)
  }

  async writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
    asides += 1
    const aside = join(dirname(path), `.${basename(path)}.${process.pid}-${asides}${ASIDE_SUFFIX}`)
    try {
      const handle = await open(aside, 'w')
      try {
        await handle.writeFile(bytes)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await this.rename(aside, path)
    } catch (error) {
      await rm(aside, { force: true })
      throw error
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await rename(from, to)
    await syncFolder(dirname(to))
  }

  async remove(path: string): Promise<void> {
    await rm(path, { force: true, recursive: true })
  }

  async removeEmptyDir(path: string): Promise<void> {
    try {
      await rmdir(path)
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }

  async makeDir(path: string): Promise<void> {
    await mkdir(path, { recursive: true })
  }

  async list(path: string): Promise<string[]> {
    try {
      return (await readdir(path)).sort()
    } catch (error) {
      if (isMissing(error)) return []
      throw error
    }
  }

  async stat(path: string): Promise<FileStat | undefined> {
    try {
      const found = await stat(path, { bigint: true })
      return {
        size: Number(found.size),
        mtimeMs: Number(found.mtimeMs),
        isDirectory: found.isDirectory(),
        fileId: `${found.dev}:${found.ino}`,
      }
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  async openRead(path: string): Promise<ReadHandle> {
    return new NodeReadHandle(await open(path, 'r'))
  }

  openAppend(path: string, position: number): AppendHandle {
    return new NodeAppendHandle(path, position)
  }
}

/** The one used where no other is given. */
export const nodeFileSystem: FileSystem = new NodeFileSystem()

class NodeReadHandle implements ReadHandle {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(length)
    const { bytesRead } = await this.#handle.read(buffer, 0, length, position)
    return bytesRead === length ? buffer : buffer.subarray(0, bytesRead)
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

class NodeAppendHandle implements AppendHandle {
  readonly #fd: number
  #size: number
  #syncs = 0
  #closed = false

  constructor(path: string, position: number) {
    this.#fd = openForAppend(path)
    const present = fstatSync(this.#fd).size
    this.#size = position
    if (present > position) ftruncateSync(this.#fd, position)
    if (present >= position) return
    closeSync(this.#fd)
    throw Object.assign(new Error(`EINVAL: the file has ${present} bytes, appending at ${position} would leave a hole, open '${path}'`), {
      code: 'EINVAL',
      path,
    })
  }

  get size(): number {
    return this.#size
  }

  write(bytes: Uint8Array): void {
    assert(!this.#closed, 'a closed file is not written')
    let written = 0
    while (written < bytes.length) {
      const n = writeSync(this.#fd, bytes, written, bytes.length - written, this.#size)
      written += n
      this.#size += n
    }
  }

  async sync(): Promise<void> {
    assert(!this.#closed, 'a closed file is not flushed')
    this.#syncs += 1
    try {
      await new Promise<void>((resolve, reject) => fsync(this.#fd, (error) => (error === null ? resolve() : reject(error))))
    } finally {
      this.#syncs -= 1
      if (this.#closed && this.#syncs === 0) closeSync(this.#fd)
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    // The number of a descriptor is used again at once: one that a flush still uses is closed by the flush.
    if (this.#syncs === 0) closeSync(this.#fd)
  }
}

function openForAppend(path: string): number {
  try {
    return openSync(path, 'r+')
  } catch (error) {
    if (!isMissing(error)) throw error
    return openSync(path, 'wx+')
  }
}

/** Makes a rename durable. Windows cannot open a folder, and some network file systems cannot flush one: the rename stands all the same. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  try {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch {
    // Not an error of the rename itself.
  }
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENOTDIR'
}
