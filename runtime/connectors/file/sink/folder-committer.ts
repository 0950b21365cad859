import { join } from 'node:path'
import { storageError } from '../../../backends/file/index.js'
import { type Committer, MillraceError } from '../../../core/index.js'
import type { FileSystem } from '../../../ports/index.js'
import type { PartCommittable } from './folder-writer.js'

/** Makes part files visible by renaming them. One that has its final name already was committed before. */
export class FolderCommitter implements Committer<PartCommittable> {
  readonly #files: FileSystem
  readonly #path: string

  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#path = path
  }

  async commit(committables: readonly PartCommittable[]): Promise<void> {
    for (const committable of committables) await this.#commit(committable)
  }

  async #commit(committable: PartCommittable): Promise<void> {
    const pending = join(this.#path, committable.pending)
    const target = join(this.#path, committable.target)
    try {
      if ((await this.#files.stat(pending)) !== undefined) await this.#files.rename(pending, target)
      else if ((await this.#files.stat(target)) === undefined) throw missing(pending, target)
    } catch (error) {
      throw storageError(error, target, 'committing the file')
    }
  }
}

function missing(pending: string, target: string): MillraceError {
  return new MillraceError('CHECKPOINT_CORRUPT', {
    what: `a checkpoint names output that is neither there as ${target} nor, uncommitted, as ${pending}`,
    where: target,
    todo: 'Bring the file back, or restore from another checkpoint.',
  })
}
