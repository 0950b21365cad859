import { dirname, relative, resolve, sep } from 'node:path'
import type { AppendHandle, FileStat, FileSystem, ReadHandle } from '../../ports/index.js'

/** A file's bytes; `bytes` may be longer than `size`. Handles hold the object, so they outlive renames and removals as on POSIX. */
interface MemoryFile {
  bytes: Uint8Array
  size: number
  mtimeMs: number
  readonly fileId: string
}

/** A FileSystem in memory, with POSIX behaviour (open files survive rename and removal). For tests and simulation. */
export class MemoryFileSystem implements FileSystem {
  readonly #files = new Map<string, MemoryFile>()
  readonly #folders = new Set<string>([resolve('.'), resolve(sep)])
  readonly #now: () => number
  #fileIds = 0

  /** `now` gives modification times, epoch ms; by default a count of changes. */
  constructor(options: { readonly now?: () => number } = {}) {
    let changes = 0
    this.#now = options.now ?? (() => ++changes)
  }

  async readFile(path: string): Promise<Uint8Array> {
    const file = this.#fileAt(path, 'open')
    return file.bytes.slice(0, file.size)
  }

  async writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
    this.#checkParent(path)
    this.#files.set(resolve(path), this.#newFile(bytes.slice()))
  }

  async rename(from: string, to: string): Promise<void> {
    this.#checkParent(to)
    const source = resolve(from)
    const target = resolve(to)
    const file = this.#files.get(source)
    if (file !== undefined) {
      if (this.#folders.has(target)) throw failure('EISDIR', 'rename', to)
      this.#files.delete(source)
      this.#files.set(target, file)
      return
    }
    if (!this.#folders.has(source)) throw failure('ENOENT', 'rename', from)
    this.#moveFolder(source, target)
  }

  async remove(path: string): Promise<void> {
    const target = resolve(path)
    for (const key of [...this.#files.keys()]) if (isWithin(target, key)) this.#files.delete(key)
    for (const key of [...this.#folders]) if (isWithin(target, key)) this.#folders.delete(key)
  }

  async removeEmptyDir(path: string): Promise<void> {
    const target = resolve(path)
    if ((await this.list(path)).length === 0) this.#folders.delete(target)
  }

  async makeDir(path: string): Promise<void> {
    for (let folder = resolve(path); !this.#folders.has(folder); folder = dirname(folder)) {
      if (this.#files.has(folder)) throw failure('EEXIST', 'mkdir', path)
      this.#folders.add(folder)
    }
  }

  async list(path: string): Promise<string[]> {
    const folder = resolve(path)
    const names = new Set<string>()
    for (const key of [...this.#files.keys(), ...this.#folders]) {
      if (key !== folder && dirname(key) === folder) names.add(relative(folder, key))
    }
    return [...names].sort()
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const key = resolve(path)
    if (this.#folders.has(key)) return { size: 0, mtimeMs: 0, isDirectory: true, fileId: `folder:${key}` }
    const file = this.#files.get(key)
    return file === undefined ? undefined : { size: file.size, mtimeMs: file.mtimeMs, isDirectory: false, fileId: file.fileId }
  }

  async openRead(path: string): Promise<ReadHandle> {
    const file = this.#fileAt(path, 'open')
    return {
      read: async (position, length) => file.bytes.slice(Math.min(position, file.size), Math.min(position + length, file.size)),
      close: async () => {},
    }
  }

  openAppend(path: string, position: number): AppendHandle {
    this.#checkParent(path)
    const key = resolve(path)
    if (this.#folders.has(key)) throw failure('EISDIR', 'open', path)
    let file = this.#files.get(key)
    if (file === undefined) {
      file = this.#newFile(new Uint8Array())
      this.#files.set(key, file)
    }
    if (file.size < position) throw failure('EINVAL', 'open', path)
    file.size = position
    return new MemoryAppendHandle(file, this.#now)
  }

  #newFile(bytes: Uint8Array): MemoryFile {
    this.#fileIds += 1
    return { bytes, size: bytes.length, mtimeMs: this.#now(), fileId: `memory:${this.#fileIds}` }
  }

  #fileAt(path: string, call: string): MemoryFile {
    const key = resolve(path)
    const file = this.#files.get(key)
    if (file === undefined) throw failure(this.#folders.has(key) ? 'EISDIR' : 'ENOENT', call, path)
    return file
  }

  #checkParent(path: string): void {
    if (!this.#folders.has(dirname(resolve(path)))) throw failure('ENOENT', 'open', path)
  }

  #moveFolder(source: string, target: string): void {
    const moved = (key: string) => target + key.slice(source.length)
    for (const [key, file] of [...this.#files]) {
      if (!isWithin(source, key)) continue
      this.#files.delete(key)
      this.#files.set(moved(key), file)
    }
    for (const key of [...this.#folders]) {
      if (!isWithin(source, key)) continue
      this.#folders.delete(key)
      this.#folders.add(moved(key))
    }
  }
}

class MemoryAppendHandle implements AppendHandle {
  readonly #file: MemoryFile
  readonly #now: () => number

  constructor(file: MemoryFile, now: () => number) {
    this.#file = file
    this.#now = now
  }

  get size(): number {
    return this.#file.size
  }

  write(bytes: Uint8Array): void {
    const file = this.#file
    const size = file.size + bytes.length
    if (size > file.bytes.length) {
      const grown = new Uint8Array(Math.max(size, file.bytes.length * 2))
      grown.set(file.bytes.subarray(0, file.size))
      file.bytes = grown
    }
    file.bytes.set(bytes, file.size)
    file.size = size
    file.mtimeMs = this.#now()
  }

  async sync(): Promise<void> {}

  close(): void {}
}

function isWithin(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}

function failure(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, path, syscall: call })
}
