import type { AppendHandle, FileStat, FileSystem, ReadHandle } from '../ports/index.js'

/** `read` is ReadHandle.read; `write` and `sync` are those of AppendHandle. */
export type FileSystemCall = keyof FileSystem | 'read' | 'write' | 'sync'

/** One fault: which calls fail, and how. */
export interface FileSystemFault {
  readonly call: FileSystemCall
  /** The how-manieth call of this kind (from 1) fails; `every` fails all from `nth` on. Default 1. */
  readonly nth?: number
  readonly every?: boolean
  /** Only calls whose path contains this count. */
  readonly path?: string
  /** Node's error code. Default EIO. */
  readonly code?: string
}

/** The faults that a failing file system makes. */
export interface FaultScript {
  readonly faults?: readonly FileSystemFault[]
  /** ENOSPC once this many bytes were written in total; what still fits is written first, as a real disk does. */
  readonly capacityBytes?: number
}

/** A FileSystem whose disk fails as scripted. {@link FailingFileSystem.heal} ends all faults. */
export class FailingFileSystem implements FileSystem {
  readonly #inner: FileSystem
  #faults: { readonly fault: FileSystemFault; seen: number }[] = []
  #room: number
  /** Calls so far, by kind, failed ones included. */
  readonly calls = new Map<FileSystemCall, number>()

  constructor(inner: FileSystem, script: FaultScript = {}) {
    this.#inner = inner
    this.#room = script.capacityBytes ?? Number.POSITIVE_INFINITY
    for (const fault of script.faults ?? []) this.fail(fault)
  }

  /** Adds a fault; `nth` counts from now. */
  fail(fault: FileSystemFault): void {
    this.#faults.push({ fault, seen: 0 })
  }

  heal(): void {
    this.#faults = []
    this.#room = Number.POSITIVE_INFINITY
  }

  async readFile(path: string): Promise<Uint8Array> {
    this.#count('readFile', path)
    return this.#inner.readFile(path)
  }

  async writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
    this.#count('writeFileAtomic', path)
    if (this.#takeRoom(bytes.length) < bytes.length) throw fault('ENOSPC', 'write', path)
    return this.#inner.writeFileAtomic(path, bytes)
  }

  async rename(from: string, to: string): Promise<void> {
    this.#count('rename', from)
    return this.#inner.rename(from, to)
  }

  async remove(path: string): Promise<void> {
    this.#count('remove', path)
    return this.#inner.remove(path)
  }

  async removeEmptyDir(path: string): Promise<void> {
    this.#count('removeEmptyDir', path)
    return this.#inner.removeEmptyDir(path)
  }

  async makeDir(path: string): Promise<void> {
    this.#count('makeDir', path)
    return this.#inner.makeDir(path)
  }

  async list(path: string): Promise<string[]> {
    this.#count('list', path)
    return this.#inner.list(path)
  }

  async stat(path: string): Promise<FileStat | undefined> {
    this.#count('stat', path)
    return this.#inner.stat(path)
  }

  async openRead(path: string): Promise<ReadHandle> {
    this.#count('openRead', path)
    const handle = await this.#inner.openRead(path)
    return {
      read: async (position, length) => {
        this.#count('read', path)
        return handle.read(position, length)
      },
      close: () => handle.close(),
    }
  }

  openAppend(path: string, position: number): AppendHandle {
    this.#count('openAppend', path)
    const handle = this.#inner.openAppend(path, position)
    return {
      get size() {
        return handle.size
      },
      write: (bytes) => {
        this.#count('write', path)
        const room = this.#takeRoom(bytes.length)
        handle.write(bytes.subarray(0, room))
        if (room < bytes.length) throw fault('ENOSPC', 'write', path)
      },
      sync: async () => {
        this.#count('sync', path)
        return handle.sync()
      },
      close: () => handle.close(),
    }
  }

  #count(call: FileSystemCall, path: string): void {
    this.calls.set(call, (this.calls.get(call) ?? 0) + 1)
    for (const entry of this.#faults) {
      const { fault: scripted } = entry
      if (scripted.call !== call || !path.includes(scripted.path ?? '')) continue
      entry.seen += 1
      const nth = scripted.nth ?? 1
      if (entry.seen === nth || (scripted.every === true && entry.seen > nth)) throw fault(scripted.code ?? 'EIO', call, path)
    }
  }

  #takeRoom(wanted: number): number {
    const taken = Math.min(wanted, this.#room)
    this.#room -= taken
    return taken
  }
}

function fault(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: scripted fault, ${call} '${path}'`), { code, path, syscall: call })
}
