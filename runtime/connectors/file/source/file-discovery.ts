import type { Dirent } from 'node:fs'
import { basename, join } from 'node:path'
import { type FileSystemAdapter, glob, isDynamicPattern } from 'tinyglobby'
import { storageError } from '../../../backends/file/index.js'
import { MillraceError } from '../../../core/index.js'
import type { FileSystem } from '../../../ports/index.js'

/**
 * The files that `paths` name: a file itself, every file in a folder and below (except hidden ones and those that start with `_`, as in
 * Flink), or what a glob pattern matches. Each once, sorted within each of `paths`. A glob may match nothing only if `mayBeEmpty`.
 */
export async function discoverFiles(files: FileSystem, paths: readonly string[], mayBeEmpty: boolean): Promise<string[]> {
  const found = new Set<string>()
  for (const path of paths) {
    for (const file of (await filesOf(files, path, mayBeEmpty)).sort()) found.add(file)
  }
  return [...found]
}

async function filesOf(files: FileSystem, path: string, mayBeEmpty: boolean): Promise<string[]> {
  try {
    const stat = await files.stat(path)
    if (stat?.isDirectory === false) return [path]
    if (stat !== undefined) return await walk(files, path, new Set([stat.fileId]))
    const pattern = process.platform === 'win32' ? path.replaceAll('\\', '/') : path
    if (!isDynamicPattern(pattern)) {
      const todo = 'Check the path; a relative one starts at the working directory of the process.'
      throw new MillraceError('FILE_NOT_FOUND', { what: 'there is no such file or folder', where: path, todo })
    }
    const matches = await glob(pattern, { expandDirectories: false, fs: adapterOf(files) })
    if (matches.length > 0 || mayBeEmpty) return matches
    throw new MillraceError('FILE_NOT_FOUND', {
      what: 'no file matches the pattern',
      where: path,
      todo: 'Check the pattern and the working directory.',
    })
  } catch (error) {
    throw storageError(error, path, 'looking for files')
  }
}

/** @param above folders on the way here: a link back to one of them is not entered */
async function walk(files: FileSystem, folder: string, above: ReadonlySet<string>): Promise<string[]> {
  const found: string[] = []
  for (const name of await files.list(folder)) {
    if (name.startsWith('.') || name.startsWith('_')) continue
    const path = join(folder, name)
    const stat = await files.stat(path)
    if (stat?.isDirectory === false) found.push(path)
    else if (stat !== undefined && !above.has(stat.fileId)) found.push(...(await walk(files, path, new Set([...above, stat.fileId]))))
  }
  return found
}

/** The one call of node:fs that the glob library makes, answered by the FileSystem port. */
function adapterOf(files: FileSystem): FileSystemAdapter {
  const readdir = (path: string, _options: unknown, callback: (error: Error | null, entries?: Dirent[]) => void) => {
    entriesOf(files, path).then(
      (entries) => callback(null, entries),
      (error) => callback(error as Error),
    )
  }
  return { readdir: readdir as FileSystemAdapter['readdir'] }
}

async function entriesOf(files: FileSystem, folder: string): Promise<Dirent[]> {
  const entries: Dirent[] = []
  for (const name of await files.list(folder)) {
    const stat = await files.stat(join(folder, name))
    if (stat === undefined) continue
    const { isDirectory } = stat
    entries.push({ name: basename(name), isDirectory: () => isDirectory, isFile: () => !isDirectory, isSymbolicLink: () => false } as Dirent)
  }
  return entries
}
