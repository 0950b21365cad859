import { MillraceError } from '../../core/index.js'

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: make room there or choose another folder, then restart the job from its last checkpoint.',
  EDQUOT: 'The disk quota is used up: make room there or choose another folder, then restart the job from its last checkpoint.',
  EACCES: 'The process may not use it: give its user the permission, or name another path.',
  EPERM: 'The process may not use it: give its user the permission, or name another path.',
  EROFS: 'The file system is read-only: choose a folder that can be written.',
  EISDIR: 'The path names a folder where a file is needed.',
  ENOTDIR: 'A part of the path is a file where a folder is needed.',
  EMFILE: 'Too many files are open: raise the limit (ulimit -n) or read fewer files at once.',
  EINVAL: 'The file is shorter than what was written to it: something else changed it. Bring it back, or start without the checkpoint.',
}

/**
 * A failure of a FileSystem as an error that names the path: FILE_NOT_FOUND for ENOENT, STORAGE for all else. An error that already is a
 * MillraceError stays as it is.
 *
 * @param doing what was being done, e.g. `reading the file`
 */
export function storageError(thrown: unknown, path: string, doing: string): MillraceError {
  if (thrown instanceof MillraceError) return thrown
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code
  if (code === 'ENOENT') {
    return new MillraceError('FILE_NOT_FOUND', {
      what: `${doing} failed: there is no such file or folder`,
      where: path,
      todo: 'Check the path.',
      cause: thrown,
    })
  }
  const todo = (code === undefined ? undefined : ADVICE[code]) ?? 'Check the disk and the permissions, then restart the job from its last checkpoint.'
  return new MillraceError('STORAGE', { what: `${doing} failed`, where: path, todo, cause: thrown })
}
