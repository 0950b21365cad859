export { MemoryBlobStore } from './memory-blob-store.js'
export { MemoryFileSystem } from './memory-file-system.js'
