import { nodeFileSystem } from '../../../backends/file/index.js'
import { MillraceError, type Source } from '../../../core/index.js'
import type { FileSystem } from '../../../ports/index.js'
import type { FileFormat } from './file-format.js'
import { FileSourceReader } from './file-source-reader.js'
import type { FileSplit } from './file-split.js'
import { type FileEnumeratorState, FileSplitEnumerator } from './file-split-enumerator.js'

const MIB = 1 << 20

/** The first range must reach behind a byte order mark. */
const SHORTEST_SPLIT = 4

/** Options of {@link fileSource}. */
export interface FileSourceOptions<T> {
  /** Files, folders (with all below, except names that start with `.` or `_`) or glob patterns. */
  readonly path: string | readonly string[]
  /** `lines()`, `ndjson()`, `csv()` or your own. */
  readonly format: FileFormat<T>
  /** Looks for new files every `intervalMs` and never ends. A file is read once, whole: move finished files into a watched folder. */
  readonly watch?: { readonly intervalMs: number }
  /**
   * Reads files as they grow, like `tail -F`, and never ends. A last line without line end waits until it is complete. When a file is
   * rotated (another one takes its path) the old one is read to its end first, then the new one from its start; two rotations within
   * `pollIntervalMs` hide the file between them. A file that shrinks fails the job with SOURCE_FAILED: what it lost cannot be read.
   */
  readonly follow?: boolean | { readonly pollIntervalMs: number }
  /** Files larger than this are read in byte ranges of this size by several subtasks, where the format allows it. Default 64 MiB. */
  readonly splitBytes?: number
  /** Longest line (CSV: record) in bytes; a longer one is RECORD_MALFORMED. Default 16 MiB. */
  readonly maxLineBytes?: number
  /** Bytes read at a time; two such reads are made ahead. Default 512 KiB. */
  readonly chunkBytes?: number
  /** Default `file-source`. */
  readonly name?: string
  readonly fileSystem?: FileSystem
}

/**
 * The records of files (Flink's FileSource). Bounded unless `watch` or `follow` is set; replayable, with exact byte positions. A name that
 * ends in `.gz` is decompressed on the way; such a file is one split, and a restore decompresses what was read before once more. A byte order mark is dropped.
 *
 * Errors: FILE_NOT_FOUND and STORAGE with the path, RECORD_MALFORMED with file and line, SOURCE_FAILED when a file shrank or is damaged.
 *
 * @example
 * fileSource({ path: 'access.log', format: lines() })
 */
export function fileSource<T>(options: FileSourceOptions<T>): Source<T, FileSplit, FileEnumeratorState> {
  const { format, watch, follow = false, splitBytes = 64 * MIB, maxLineBytes = 16 * MIB, chunkBytes = MIB / 2, name = 'file-source' } = options
  const files = options.fileSystem ?? nodeFileSystem
  const paths = typeof options.path === 'string' ? [options.path] : [...options.path]
  const followPollMs = follow === false ? undefined : follow === true ? 250 : follow.pollIntervalMs
  checkPaths(paths, name)
  checkPositive({ splitBytes, maxLineBytes, chunkBytes, 'watch.intervalMs': watch?.intervalMs, 'follow.pollIntervalMs': followPollMs }, name)
  return {
    name,
    boundedness: watch !== undefined || followPollMs !== undefined ? 'unbounded' : 'bounded',
    createEnumerator: (context, restored) =>
      new FileSplitEnumerator(
        context,
        {
          files,
          paths,
          splitBytes: format.splittable ? Math.max(splitBytes, SHORTEST_SPLIT) : undefined,
          watchIntervalMs: watch?.intervalMs,
          follow: followPollMs !== undefined,
        },
        restored,
      ),
    createReader: (context) => new FileSourceReader(context, { files, format, chunkBytes, maxRecordBytes: maxLineBytes, followPollMs }),
  }
}

function checkPaths(paths: readonly string[], name: string): void {
  if (paths.length > 0 && paths.every((path) => typeof path === 'string' && path !== '')) return
  throw new MillraceError('OPTION_INVALID', { what: 'path is empty', where: name, todo: 'Name at least one file, folder or pattern.' })
}

function checkPositive(values: Readonly<Record<string, number | undefined>>, name: string): void {
  for (const [option, value] of Object.entries(values)) {
    if (value === undefined || value > 0) continue
    throw new MillraceError('OPTION_INVALID', { what: `${option} is ${value}`, where: name, todo: 'Give a number above 0.' })
  }
}
