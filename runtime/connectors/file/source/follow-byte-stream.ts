import { dirname, join } from 'node:path'
import { storageError } from '../../../backends/file/index.js'
import { MillraceError } from '../../../core/index.js'
import type { FileSystem, ReadHandle } from '../../../ports/index.js'
import { asBuffer, type ByteStream, shorterThanPosition } from './byte-stream.js'

/**
 * A file as it grows (tail -F). At its end it looks every `pollIntervalMs` whether there is more. It ends when another file has taken the
 * path and nothing more has come into the old one for a whole interval: writers go on with the old one for a moment after a rotation.
 */
export class FollowByteStream implements ByteStream {
  readonly #files: FileSystem
  readonly #path: string
  readonly #chunkBytes: number
  readonly #pollIntervalMs: number
  #position: number
  #fileId: string | undefined
  #handle: ReadHandle | undefined
  #closed = false
  #wakeUp: () => void = () => {}

  /** @param fileId the file that was read before a restore; it is looked for beside `path` when it was renamed meanwhile */
  constructor(
    files: FileSystem,
    options: {
      readonly path: string
      readonly position: number
      readonly fileId: string | undefined
      readonly chunkBytes: number
      readonly pollIntervalMs: number
    },
  ) {
    this.#files = files
    this.#path = options.path
    this.#position = options.position
    this.#fileId = options.fileId
    this.#chunkBytes = options.chunkBytes
    this.#pollIntervalMs = options.pollIntervalMs
  }

  get fileId(): string | undefined {
    return this.#fileId
  }

  async next(): Promise<Buffer | undefined> {
    try {
      let rotated = false
      while (!this.#closed) {
        const bytes = await this.#read()
        if (bytes !== undefined) return bytes
        const replaced = await this.#isReplaced()
        if (replaced && rotated) return undefined
        rotated = replaced
        await this.#pause()
      }
      return undefined
    } catch (error) {
      throw storageError(error, this.#path, 'following the file')
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wakeUp()
    await this.#handle?.close()
    this.#handle = undefined
  }

  async #read(): Promise<Buffer | undefined> {
    this.#handle ??= await this.#open()
    if (this.#handle === undefined || this.#closed) return undefined
    const bytes = await this.#handle.read(this.#position, this.#chunkBytes)
    this.#position += bytes.length
    return bytes.length === 0 ? undefined : asBuffer(bytes)
  }

  /** undefined while there is nothing at the path, as between the two steps of a rotation. */
  async #open(): Promise<ReadHandle | undefined> {
    const path = this.#fileId === undefined ? this.#path : await this.#locate(this.#fileId)
    const before = await this.#files.stat(path)
    if (before === undefined) return undefined
    const handle = await this.#files.openRead(path)
    const after = await this.#files.stat(path)
    if (after?.fileId !== before.fileId) {
      // Replaced while it was being opened: which of the two the handle has is unknown.
      await handle.close()
      return undefined
    }
    if (before.size < this.#position) {
      await handle.close()
      throw shorterThanPosition(path, before.size, this.#position)
    }
    this.#fileId = before.fileId
    return handle
  }

  async #locate(fileId: string): Promise<string> {
    if ((await this.#files.stat(this.#path))?.fileId === fileId) return this.#path
    const folder = dirname(this.#path)
    for (const name of await this.#files.list(folder)) {
      const path = join(folder, name)
      if ((await this.#files.stat(path))?.fileId === fileId) return path
    }
    if (this.#position === 0) return this.#path
    throw new MillraceError('SOURCE_FAILED', {
      what: `the file that was read up to byte ${this.#position} was replaced, and it is not in its folder under another name either`,
      where: this.#path,
      todo: 'Put the rotated file (not compressed) back into the folder so that its end can be read, or start without the checkpoint.',
    })
  }

  /** Whether another file has taken the path. A truncated file is an error: what was cut off before it was read is lost. */
  async #isReplaced(): Promise<boolean> {
    const stat = await this.#files.stat(this.#path)
    if (stat === undefined || this.#handle === undefined) return false
    if (stat.fileId !== this.#fileId) return true
    if (stat.size < this.#position) throw shorterThanPosition(this.#path, stat.size, this.#position)
    return false
  }

  #pause(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#pollIntervalMs)
      this.#wakeUp = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
