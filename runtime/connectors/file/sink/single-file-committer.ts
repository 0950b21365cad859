import { dirname, join } from 'node:path'
import { storageError } from '../../../backends/file/index.js'
import { type Committer, MillraceError } from '../../../core/index.js'
import type { AppendHandle, FileSystem } from '../../../ports/index.js'
import type { AppendCommittable } from './single-file-writer.js'

const CHUNK_BYTES = 1 << 20

/**
 * Appends hidden files to the target at their offsets. A hidden file is removed once its bytes are safe, so one that is there has yet to be
 * appended (again, after a crash in between: what lies behind its offset is cut off first), and one that is gone is in the target.
 */
export class SingleFileCommitter implements Committer<AppendCommittable> {
  readonly #files: FileSystem
  readonly #path: string

  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#path = path
  }

  async commit(committables: readonly AppendCommittable[]): Promise<void> {
    // An epoch without records has the offset of the next one: of equal offsets the empty ones come first.
    const inOrder = [...committables].sort((a, b) => a.offset - b.offset || a.length - b.length)
    for (const committable of inOrder) {
      try {
        await this.#commit(committable)
      } catch (error) {
        throw storageError(error, this.#path, 'committing to the file')
      }
    }
  }

  async #commit({ pending, offset, length }: AppendCommittable): Promise<void> {
    const source = join(dirname(this.#path), pending)
    const present = (await this.#files.stat(this.#path))?.size ?? 0
    const waiting = await this.#files.stat(source)
    if (waiting === undefined) {
      if (present < offset + length) throw corrupt(this.#path, `it has ${present} of ${offset + length} committed bytes, and ${pending} is gone`)
      return
    }
    if (present < offset) throw corrupt(this.#path, `it has ${present} bytes where ${offset} were committed before`)
    if (waiting.size < length) throw corrupt(source, `it has ${waiting.size} bytes instead of ${length}`)
    const target = this.#files.openAppend(this.#path, offset)
    try {
      await this.#copy(source, length, target)
      await target.sync()
    } finally {
      target.close()
    }
    await this.#files.remove(source)
  }

  async #copy(source: string, length: number, target: AppendHandle): Promise<void> {
    const handle = await this.#files.openRead(source)
    try {
      for (let position = 0; position < length; ) {
        const bytes = await handle.read(position, Math.min(CHUNK_BYTES, length - position))
        if (bytes.length === 0) throw corrupt(source, `it ends at byte ${position} instead of ${length}`)
        target.write(bytes)
        position += bytes.length
      }
    } finally {
      await handle.close()
    }
  }
}

function corrupt(path: string, what: string): MillraceError {
  const todo = 'Something else changed the output: bring the file back as it was, or start afresh with overwrite: true.'
  return new MillraceError('CHECKPOINT_CORRUPT', { what: `the output file does not fit the checkpoint: ${what}`, where: path, todo })
}
