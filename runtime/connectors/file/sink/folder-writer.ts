import { join } from 'node:path'
import type { SinkWriter, SinkWriterContext } from '../../../core/index.js'
import type { FileSystem } from '../../../ports/index.js'
import { prepareFolder } from './folder-preparation.js'
import { pendingName, targetName } from './part-name.js'
import { PendingFile } from './pending-file.js'
import { Preparation } from './preparation.js'
import type { SinkFormat } from './sink-format.js'

/** A hidden part file to be renamed; both names relative to the sink's folder, so that the folder may be moved. */
export interface PartCommittable {
  readonly kind: 'part'
  readonly pending: string
  readonly target: string
}

/** When a file sink finishes a part file and starts the next, beside every checkpoint. */
export interface Rolling {
  /** A part file is finished once it has this many bytes. */
  readonly maxBytes?: number
  /** A part file is finished by the first record that comes when it is this old, ms. */
  readonly maxAgeMs?: number
}

export interface FolderSettings<T> {
  readonly files: FileSystem
  readonly path: string
  readonly format: SinkFormat<T>
  readonly rolling: Rolling
  readonly overwrite: boolean
}

/** Writes hidden part files; every checkpoint finishes the open one. */
export class FolderWriter<T> implements SinkWriter<T, PartCommittable> {
  readonly #settings: FolderSettings<T>
  readonly #context: SinkWriterContext
  readonly #preparation: Preparation
  #epoch: number
  #n = 0
  #open: { readonly file: PendingFile; readonly committable: PartCommittable; readonly openedMs: number } | undefined
  /** Parts of this epoch that were rolled. */
  #finished: Promise<PartCommittable>[] = []

  constructor(settings: FolderSettings<T>, context: SinkWriterContext) {
    this.#settings = settings
    this.#context = context
    this.#epoch = context.restoredCheckpointId + 1
    this.#preparation = new Preparation(() => prepareFolder(settings, context))
  }

  write(value: T): void {
    const { maxBytes, maxAgeMs } = this.#settings.rolling
    const text = this.#settings.format.encode(value)
    if (maxAgeMs !== undefined && this.#open !== undefined && this.#context.now() - this.#open.openedMs >= maxAgeMs) this.#roll()
    this.#open ??= this.#openPart()
    this.#open.file.write(text)
    if (maxBytes !== undefined && this.#open.file.size >= maxBytes) this.#roll()
  }

  async prepareCommit(checkpointId: number): Promise<readonly PartCommittable[]> {
    this.#roll()
    const finished = this.#finished
    this.#finished = []
    this.#switchTo(checkpointId + 1)
    await this.#preparation.done
    return Promise.all(finished)
  }

  async close(): Promise<void> {
    await this.#open?.file.discard()
    this.#open = undefined
  }

  #switchTo(epoch: number): void {
    if (epoch <= this.#epoch) return
    this.#epoch = epoch
    this.#n = 0
  }

  #openPart() {
    const { files, path, format } = this.#settings
    const part = { subtask: this.#context.subtaskIndex, epoch: this.#epoch, n: this.#n++ }
    const committable: PartCommittable = { kind: 'part', pending: pendingName(part, format.extension), target: targetName(part, format.extension) }
    const file = new PendingFile(files, join(path, committable.pending), this.#preparation)
    if (format.header !== undefined) file.write(format.header)
    return { file, committable, openedMs: this.#context.now() }
  }

  #roll(): void {
    if (this.#open === undefined) return
    const { file, committable } = this.#open
    this.#open = undefined
    const finished = file.finish().then(() => committable)
    // Met by prepareCommit; until then nobody listens.
    finished.catch(() => {})
    this.#finished.push(finished)
  }
}
