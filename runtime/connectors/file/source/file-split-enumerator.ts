import type { EnumeratorContext, SplitEnumerator } from '../../../core/index.js'
import { MillraceError } from '../../../core/index.js'
import type { FileSystem } from '../../../ports/index.js'
import { discoverFiles } from './file-discovery.js'
import { type FileSplit, inFileOrder, splitsOf } from './file-split.js'
import { isGzip } from './split-read.js'

/** What a checkpoint keeps of a file source's enumerator. */
export interface FileEnumeratorState {
  readonly pending: readonly FileSplit[]
  /** Paths found so far. */
  readonly seen: readonly string[]
}

export interface DiscoverySettings {
  readonly files: FileSystem
  readonly paths: readonly string[]
  /** Undefined: files are read whole. */
  readonly splitBytes: number | undefined
  readonly watchIntervalMs: number | undefined
  readonly follow: boolean
}

/**
 * Finds files and hands out their splits in order, one whenever a reader asks. Files that are followed never end, so each belongs to the
 * subtask whose turn it is when it is found.
 */
export class FileSplitEnumerator implements SplitEnumerator<FileSplit, FileEnumeratorState> {
  readonly #context: EnumeratorContext<FileSplit>
  readonly #settings: DiscoverySettings
  readonly #seen: Set<string>
  #pending: FileSplit[]
  /** Subtasks that wait for a split; with `follow` they stay in it. */
  readonly #waiting = new Set<number>()
  readonly #restored: boolean
  #discovered = false
  #turn = 0

  constructor(context: EnumeratorContext<FileSplit>, settings: DiscoverySettings, restored: FileEnumeratorState | undefined) {
    this.#context = context
    this.#settings = settings
    this.#restored = restored !== undefined
    this.#pending = [...(restored?.pending ?? [])]
    this.#seen = new Set(restored?.seen)
  }

  async start(): Promise<void> {
    const { watchIntervalMs } = this.#settings
    // A bounded input is what was found at the first start, also when files were added before a restore.
    if (watchIntervalMs !== undefined || !this.#restored || this.#seen.size === 0) await this.#discover()
    this.#discovered = true
    this.#assign()
    if (watchIntervalMs !== undefined) this.#context.schedule(watchIntervalMs, () => this.#rediscover())
  }

  handleSplitRequest(subtask: number): void {
    this.#waiting.add(subtask)
    this.#assign()
  }

  addSplitsBack(splits: readonly FileSplit[]): void {
    this.#pending = [...[...splits].sort(inFileOrder), ...this.#pending]
    this.#assign()
  }

  snapshotState(): FileEnumeratorState {
    return { pending: this.#pending, seen: [...this.#seen] }
  }

  close(): void {}

  async #rediscover(): Promise<void> {
    await this.#discover()
    this.#assign()
  }

  async #discover(): Promise<void> {
    const { files, paths, watchIntervalMs } = this.#settings
    const found: { readonly path: string; readonly splits: readonly FileSplit[] }[] = []
    for (const path of await discoverFiles(files, paths, watchIntervalMs !== undefined)) {
      if (!this.#seen.has(path)) found.push({ path, splits: await this.#splitsOf(path) })
    }
    // All at once: a snapshot in between would take what was found so far for everything.
    for (const { path, splits } of found) {
      if (!this.#seen.has(path)) this.#pending.push(...splits)
      this.#seen.add(path)
    }
  }

  async #splitsOf(path: string): Promise<FileSplit[]> {
    const { files, splitBytes, follow } = this.#settings
    if (follow && isGzip(path)) {
      throw new MillraceError('OPTION_INVALID', {
        what: 'a gzip file cannot be followed',
        where: path,
        todo: 'Exclude .gz files by a narrower pattern.',
      })
    }
    const stat = await files.stat(path)
    const whole = follow || isGzip(path)
    return splitsOf(path, stat?.size ?? 0, whole ? undefined : splitBytes, follow ? stat?.fileId : undefined)
  }

  #assign(): void {
    if (this.#settings.follow) this.#assignInTurn()
    else this.#assignInOrder()
    if (!this.#discovered || this.#pending.length > 0 || this.#settings.watchIntervalMs !== undefined) return
    for (const subtask of this.#waiting) this.#context.signalNoMoreSplits(subtask)
    this.#waiting.clear()
  }

  #assignInOrder(): void {
    for (const subtask of this.#waiting) {
      const split = this.#pending.shift()
      if (split === undefined) break
      this.#waiting.delete(subtask)
      this.#context.assignSplit(subtask, split)
    }
  }

  #assignInTurn(): void {
    while (this.#pending.length > 0 && this.#waiting.has(this.#turn % this.#context.parallelism)) {
      this.#context.assignSplit(this.#turn % this.#context.parallelism, this.#pending.shift() as FileSplit)
      this.#turn += 1
    }
  }
}
