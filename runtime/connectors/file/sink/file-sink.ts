import { nodeFileSystem } from '../../../backends/file/index.js'
import { MillraceError, type Sink } from '../../../core/index.js'
import type { FileSystem } from '../../../ports/index.js'
import { FolderCommitter } from './folder-committer.js'
import { FolderWriter, type PartCommittable, type Rolling } from './folder-writer.js'
import { SingleFileCommitter } from './single-file-committer.js'
import { type AppendCommittable, type SingleFileState, SingleFileWriter } from './single-file-writer.js'
import type { SinkFormat } from './sink-format.js'

/** Options of {@link fileSink}. */
export interface FileSinkOptions<T> {
  /** The folder of the part files, or with `layout: 'file'` the file. */
  readonly path: string
  /** `ndjsonFormat()`, `csvFormat({ columns })`, `textFormat(fn)` or your own. */
  readonly format: SinkFormat<T>
  /**
   * `folder` (default): part files `part-<subtask>-<epoch>-<n>.<ext>`. `file`: one file, which needs a writer with parallelism 1.
   */
  readonly layout?: 'folder' | 'file'
  /** When a part file is finished before the next checkpoint finishes it; only for folders. */
  readonly rolling?: Rolling
  /** Replaces what an earlier job wrote to this path. Without it existing output is refused at a fresh start. */
  readonly overwrite?: boolean
  /** Default `file-sink`. */
  readonly name?: string
  readonly fileSystem?: FileSystem
}

/** What a file sink hands to its committer at a checkpoint. */
export type FileCommittable = PartCommittable | AppendCommittable

/**
 * Writes files exactly once (Flink's FileSink): records go to hidden files, which become visible when the checkpoint they belong to is
 * complete; without checkpoints, at the end of input. A restore removes what was written behind its checkpoint, visible or not, and
 * writes it again.
 *
 * Errors: OPTION_INVALID when the output exists, STORAGE with the path when the disk fails or is full, CHECKPOINT_CORRUPT when output that a
 * checkpoint names is gone or was changed.
 *
 * @example
 * counts.sinkTo(fileSink({ path: 'out', format: ndjsonFormat() }))
 */
export function fileSink<T>(options: FileSinkOptions<T>): Sink<T, FileCommittable, SingleFileState> {
  const { path, format, layout = 'folder', rolling, overwrite = false, name = 'file-sink' } = options
  const files = options.fileSystem ?? nodeFileSystem
  checkOptions(options, name)
  if (layout === 'folder') {
    const settings = { files, path, format, rolling: rolling ?? {}, overwrite }
    const sink: Sink<T, PartCommittable> = {
      name,
      createWriter: (context) => new FolderWriter(settings, context),
      createCommitter: () => new FolderCommitter(files, path),
    }
    return sink as Sink<T, FileCommittable, SingleFileState>
  }
  const sink: Sink<T, AppendCommittable, SingleFileState> = {
    name,
    createWriter: (context, restored) => {
      checkOneWriter(context.parallelism, name)
      return new SingleFileWriter({ files, path, format, overwrite }, context, restored)
    },
    createCommitter: () => new SingleFileCommitter(files, path),
  }
  return sink as Sink<T, FileCommittable, SingleFileState>
}

function checkOptions<T>(options: FileSinkOptions<T>, name: string): void {
  const invalid = (what: string, todo: string) => new MillraceError('OPTION_INVALID', { what, where: name, todo })
  const { path, layout = 'folder', rolling } = options
  if (typeof path !== 'string' || path === '') throw invalid('path is empty', 'Name a folder, or a file with layout: file.')
  if (layout !== 'folder' && layout !== 'file') throw invalid(`layout is ${String(layout)}`, "Give 'folder' or 'file'.")
  if (rolling !== undefined && layout === 'file') throw invalid('a single file cannot roll', 'Leave out rolling, or write to a folder.')
  for (const [option, value] of Object.entries(rolling ?? {})) {
    if (value !== undefined && !(value > 0)) throw invalid(`rolling.${option} is ${value}`, 'Give a number above 0.')
  }
}

function checkOneWriter(parallelism: number, name: string): void {
  if (parallelism === 1) return
  throw new MillraceError('OPTION_INVALID', {
    what: `${parallelism} subtasks cannot write one file`,
    where: name,
    todo: "Call setParallelism(1) on the sink, or write to a folder (layout: 'folder').",
  })
}
