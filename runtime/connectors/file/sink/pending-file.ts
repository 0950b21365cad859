import { storageError } from '../../../backends/file/index.js'
import type { AppendHandle, FileSystem } from '../../../ports/index.js'
import type { Preparation } from './preparation.js'

const BUFFER_BYTES = 256 * 1024

/**
 * A hidden file that a writer fills: buffered, then written synchronously. Until the folder is prepared everything stays in memory, so that
 * records need not wait for it and the clearing of leftovers never meets a file of this run.
 */
export class PendingFile {
  /** Bytes so far, buffered ones included. */
  size = 0
  readonly #files: FileSystem
  readonly #path: string
  readonly #preparation: Preparation
  /** Full buffers that wait for the folder. */
  readonly #full: Buffer[] = []
  #buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  #used = 0
  #handle: AppendHandle | undefined
  #failure: Error | undefined

  constructor(files: FileSystem, path: string, preparation: Preparation) {
    this.#files = files
    this.#path = path
    this.#preparation = preparation
  }

  write(text: string): void {
    // UTF-8 takes at most three bytes for a UTF-16 unit.
    if (text.length * 3 > BUFFER_BYTES - this.#used) this.#turnOver()
    if (text.length * 3 > BUFFER_BYTES) {
      const bytes = Buffer.from(text)
      this.size += bytes.length
      this.#full.push(bytes)
      if (this.#preparation.ready) this.#writeOut()
      return
    }
    const written = this.#buffer.write(text, this.#used)
    this.#used += written
    this.size += written
  }

  /** Everything on the disk, and the file closed. */
  async finish(): Promise<void> {
    await this.#preparation.done
    try {
      this.#turnOver()
      this.#handle ??= this.#files.openAppend(this.#path, 0)
      await this.#handle.sync()
    } catch (error) {
      throw storageError(error, this.#path, 'writing the file')
    } finally {
      this.#handle?.close()
    }
  }

  /** Gives up what was written: a restore writes it again. */
  async discard(): Promise<void> {
    this.#handle?.close()
    if (this.#handle !== undefined) await this.#files.remove(this.#path)
  }

  #turnOver(): void {
    if (this.#used > 0) {
      this.#full.push(this.#buffer.subarray(0, this.#used))
      this.#used = 0
      if (this.#preparation.ready) this.#writeOut()
      else this.#buffer = Buffer.allocUnsafe(BUFFER_BYTES)
    } else if (this.#preparation.ready) {
      this.#writeOut()
    }
  }

  #writeOut(): void {
    // A file in which bytes are missing must never be finished.
    if (this.#failure !== undefined) throw this.#failure
    if (this.#full.length === 0) return
    try {
      this.#handle ??= this.#files.openAppend(this.#path, 0)
      for (const bytes of this.#full.splice(0)) this.#handle.write(bytes)
    } catch (error) {
      this.#failure = storageError(error, this.#path, 'writing the file')
      throw this.#failure
    }
  }
}
