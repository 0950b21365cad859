import { storageError } from '../../../backends/file/index.js'
import { MillraceError } from '../../../core/index.js'
import type { FileSystem, ReadHandle } from '../../../ports/index.js'

/** A file's bytes in order, a chunk at a time. */
export interface ByteStream {
  /** undefined at the end. Not called again before it has answered. */
  next(): Promise<Buffer | undefined>
  /** What identifies the file through renames, once it is open. */
  readonly fileId?: string | undefined
  close(): Promise<void>
}

/** A Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The bytes of a plain file from `position` to the end it has when it is reached. */
export class PlainByteStream implements ByteStream {
  readonly #files: FileSystem
  readonly #path: string
  readonly #chunkBytes: number
  #position: number
  #handle: ReadHandle | undefined

  constructor(files: FileSystem, path: string, position: number, chunkBytes: number) {
    this.#files = files
    this.#path = path
    this.#position = position
    this.#chunkBytes = chunkBytes
  }

  async next(): Promise<Buffer | undefined> {
    try {
      this.#handle ??= await this.#open()
      const bytes = await this.#handle.read(this.#position, this.#chunkBytes)
      this.#position += bytes.length
      return bytes.length === 0 ? undefined : asBuffer(bytes)
    } catch (error) {
      throw storageError(error, this.#path, 'reading the file')
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close()
    this.#handle = undefined
  }

  async #open(): Promise<ReadHandle> {
    const handle = await this.#files.openRead(this.#path)
    const size = (await this.#files.stat(this.#path))?.size ?? 0
    if (size >= this.#position) return handle
    await handle.close()
    throw shorterThanPosition(this.#path, size, this.#position)
  }
}

export function shorterThanPosition(path: string, size: number, position: number): MillraceError {
  return new MillraceError('SOURCE_FAILED', {
    what: `the file has ${size} bytes, fewer than the ${position} that were read before: it was truncated or replaced`,
    where: path,
    todo: 'Bring the file back as it was, or start without the checkpoint. A file that is read must only grow.',
  })
}
