/**
 * Files as the connectors and the file backend need them: a seam for tests that make disks fail or fill up.
 * Paths are absolute or relative to the working directory, in the platform's form. Failures throw Node's errors
 * (with `code` such as ENOENT or ENOSPC); callers turn them into a MillraceError that names the path.
 */
export interface FileSystem {
  readFile(path: string): Promise<Uint8Array>
  /** Writes a new file or replaces one, flushed to disk, and only then under its name (write aside, fsync, rename). */
  writeFileAtomic(path: string, bytes: Uint8Array): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** No error when it does not exist. */
  remove(path: string): Promise<void>
  /** No error when the folder is not empty (then it stays) or does not exist. */
  removeEmptyDir(path: string): Promise<void>
  /** Recursive; no error when it exists. */
  makeDir(path: string): Promise<void>
  /** Names in a folder, sorted; an empty list when the folder does not exist. */
  list(path: string): Promise<string[]>
  /** undefined when there is nothing at this path. */
  stat(path: string): Promise<FileStat | undefined>
  openRead(path: string): Promise<ReadHandle>
  /** Opens for appending at `position` (what lies behind is cut off), creating the file when missing. Synchronous writes. */
  openAppend(path: string, position: number): AppendHandle
}

export interface FileStat {
  readonly size: number
  readonly mtimeMs: number
  readonly isDirectory: boolean
  /** Identifies the file through renames (device and inode), where the platform has it. */
  readonly fileId: string
}

export interface ReadHandle {
  /** Up to `length` bytes from `position`; fewer at the end of the file, none behind it. */
  read(position: number, length: number): Promise<Uint8Array>
  close(): Promise<void>
}

export interface AppendHandle {
  /** Bytes in the file so far. */
  readonly size: number
  write(bytes: Uint8Array): void
  /** Flushed to the disk. */
  sync(): Promise<void>
  close(): void
}
