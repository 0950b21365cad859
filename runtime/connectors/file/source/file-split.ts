import type { SourceSplit } from '../../../core/index.js'

/** A file, or the lines that start in a byte range of one, with how far it has been read. */
export interface FileSplit extends SourceSplit {
  readonly path: string
  /** First byte of the range. */
  readonly start: number
  /** End of the range; null: the end of the file. */
  readonly end: number | null
  /** Byte behind the last emitted record (of the decompressed text for .gz). */
  readonly position: number
  /** False while the line in which the range starts, which belongs to the range before, has not been passed over. */
  readonly aligned: boolean
  /** Which file at this path is read: only for files that are followed. */
  readonly fileId?: string
  readonly decoder?: unknown
}

/** The splits of a file of `size` bytes; one when `splitBytes` is undefined. */
export function splitsOf(path: string, size: number, splitBytes: number | undefined, fileId: string | undefined): FileSplit[] {
  if (splitBytes === undefined || size <= splitBytes) {
    const whole: FileSplit = { splitId: path, path, start: 0, end: null, position: 0, aligned: true }
    return [fileId === undefined ? whole : { ...whole, fileId }]
  }
  const splits: FileSplit[] = []
  for (let start = 0; start < size; start += splitBytes) {
    const end = start + splitBytes < size ? start + splitBytes : null
    splits.push({ splitId: `${path}@${start}`, path, start, end, position: start, aligned: start === 0 })
  }
  return splits
}

/** By path, then by place in the file: the order in which a single reader would have met them. */
export function inFileOrder(a: FileSplit, b: FileSplit): number {
  if (a.path !== b.path) return a.path < b.path ? -1 : 1
  return a.start - b.start
}
