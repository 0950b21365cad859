export { FileBlobStore } from './file-blob-store.js'
export { NodeFileSystem, nodeFileSystem } from './node-file-system.js'
export { storageError } from './storage-error.js'
