import { FileBlobStore } from '../backends/file/index.js'
import type { BlobStore } from '../ports/index.js'

/** The blob store of a checkpoint or savepoint folder. */
export function openBlobStore(root: string): BlobStore {
  return new FileBlobStore(root)
}
