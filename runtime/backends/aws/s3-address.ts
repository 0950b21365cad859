import { S3Client } from '@aws-sdk/client-s3'
import { MillraceError } from '../../core/index.js'
import { callSettings } from './call-settings.js'
import { S3BlobStore } from './s3-blob-store.js'

/** The blobs below `s3://bucket/prefix`. Throws OPTION_INVALID for what is no such address. */
export function s3Blobs(address: string): S3BlobStore {
  const [, bucket, prefix] = /^s3:\/\/([^/]+)(?:\/(.*?))?\/*$/.exec(address) ?? []
  if (bucket === undefined) throw new MillraceError('OPTION_INVALID', { what: `"${address}" is no address of S3`, todo: 'Give s3://bucket/prefix.' })
  return new S3BlobStore(new S3Client(callSettings()), bucket, prefix === undefined || prefix === '' ? '' : `${prefix}/`)
}
