import { basename, dirname, join } from 'node:path'
import { storageError } from '../../../backends/file/index.js'
import type { SinkWriter, SinkWriterContext } from '../../../core/index.js'
import type { FileSystem } from '../../../ports/index.js'
import { outputExists } from './folder-preparation.js'
import { PendingFile } from './pending-file.js'
import { Preparation } from './preparation.js'
import type { SinkFormat } from './sink-format.js'

/** A hidden file (beside the target) whose `length` bytes belong into the target at `offset`. */
export interface AppendCommittable {
  readonly kind: 'append'
  readonly pending: string
  readonly offset: number
  readonly length: number
}

/** Bytes that the target has once everything before the checkpoint is committed. */
export interface SingleFileState {
  readonly length: number
}

export interface SingleFileSettings<T> {
  readonly files: FileSystem
  readonly path: string
  readonly format: SinkFormat<T>
  readonly overwrite: boolean
}

/** Writes each epoch into a hidden file of its own, also an empty one: its presence tells the committer that it is not in the target yet. */
export class SingleFileWriter<T> implements SinkWriter<T, AppendCommittable, SingleFileState> {
  readonly #settings: SingleFileSettings<T>
  readonly #preparation: Preparation
  #epoch: number
  #n = 0
  #length: number
  #open: { readonly file: PendingFile; readonly pending: string }

  constructor(settings: SingleFileSettings<T>, context: SinkWriterContext, restored: readonly SingleFileState[]) {
    this.#settings = settings
    this.#length = Math.max(0, ...restored.map((state) => state.length))
    this.#epoch = context.restoredCheckpointId + 1
    this.#preparation = new Preparation(() => prepare(settings, context, restored.length === 0))
    this.#open = this.#openPending()
    if (this.#length === 0 && settings.format.header !== undefined) this.#open.file.write(settings.format.header)
  }

  write(value: T): void {
    this.#open.file.write(this.#settings.format.encode(value))
  }

  async prepareCommit(checkpointId: number): Promise<readonly AppendCommittable[]> {
    const { file, pending } = this.#open
    const committable: AppendCommittable = { kind: 'append', pending, offset: this.#length, length: file.size }
    this.#length += file.size
    this.#n = checkpointId + 1 > this.#epoch ? 0 : this.#n + 1
    this.#epoch = Math.max(this.#epoch, checkpointId + 1)
    this.#open = this.#openPending()
    await file.finish()
    return [committable]
  }

  snapshotState(): readonly SingleFileState[] {
    return [{ length: this.#length }]
  }

  async close(): Promise<void> {
    await this.#open.file.discard()
  }

  #openPending() {
    const { files, path } = this.#settings
    const pending = `${pendingPrefix(path)}${this.#epoch}-${this.#n}`
    return { file: new PendingFile(files, join(dirname(path), pending), this.#preparation), pending }
  }
}

function pendingPrefix(path: string): string {
  return `.${basename(path)}.pending-`
}

/** Clears away hidden files of epochs that are written again; a target that this sink did not write is an error unless it may be overwritten. */
async function prepare<T>(settings: SingleFileSettings<T>, context: SinkWriterContext, fresh: boolean): Promise<void> {
  const { files, path, overwrite } = settings
  const folder = dirname(path)
  const prefix = pendingPrefix(path)
  try {
    await files.makeDir(folder)
    if (fresh && (await files.stat(path)) !== undefined) {
      if (!overwrite && context.runtime.attemptNumber === 0) throw outputExists(path)
      await files.remove(path)
    }
    for (const name of await files.list(folder)) {
      const match = name.startsWith(prefix) ? /^(\d+)-\d+$/.exec(name.slice(prefix.length)) : null
      if (match !== null && Number(match[1]) > context.restoredCheckpointId) await files.remove(join(folder, name))
    }
  } catch (error) {
    throw storageError(error, path, 'preparing the output file')
  }
}
