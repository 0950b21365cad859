import { FileBlobStore } from '../backends/file/index.js'
import type { BlobStore, FileSystem } from '../ports/index.js'

/** Opens the blob store of a checkpoint or savepoint folder. */
export type OpenBlobStore = (root: string) => BlobStore

/** On the machine's disk, unless a test gives another. */
export function blobStoresOn(fileSystem?: FileSystem): OpenBlobStore {
  return (root) => new FileBlobStore(root, fileSystem)
}
