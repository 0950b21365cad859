export * from './file-sink.js'
export type { PartCommittable, Rolling } from './folder-writer.js'
export type { AppendCommittable, SingleFileState } from './single-file-writer.js'
export * from './sink-format.js'
