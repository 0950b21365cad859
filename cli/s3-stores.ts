import { withPackages } from '../runtime/backends/aws/optional-package.js'
import type { OpenStore } from '../runtime/checkpoint/index.js'

export function isS3(address: string): boolean {
  return address.startsWith('s3://')
}

/** Opens what is below an `s3://` address, with the credentials of the environment. Throws PACKAGE_MISSING. */
export async function s3Stores(): Promise<OpenStore> {
  const { s3Blobs } = await withPackages('Reading S3', () => import('../runtime/backends/aws/s3-address.js'))
  return s3Blobs
}
