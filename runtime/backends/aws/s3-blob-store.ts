import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { BlobStore } from '../../ports/index.js'
import { awsCall, isAwsError } from './aws-call.js'

/** Blobs as objects of a bucket, below a prefix (which ends with `/`, or is empty). */
export class S3BlobStore implements BlobStore {
  constructor(
    readonly client: S3Client,
    readonly bucket: string,
    readonly prefix = '',
  ) {}

  /** Relies on S3's conditional writes: of several writers of one name one wins. */
  async put(name: string, bytes: Uint8Array): Promise<'stored' | 'exists'> {
    const command = new PutObjectCommand({ ...this.#at(name), Body: bytes, IfNoneMatch: '*' })
    return awsCall('PutObject', this.#where(name), async () => {
      try {
        await this.client.send(command)
        return 'stored'
      } catch (thrown) {
        if (isAwsError(thrown, 'PreconditionFailed') || statusOf(thrown) === 412) return 'exists'
        throw thrown
      }
    })
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return awsCall('GetObject', this.#where(name), async () => {
      try {
        const { Body } = await this.client.send(new GetObjectCommand(this.#at(name)))
        return await Body?.transformToByteArray()
      } catch (thrown) {
        if (isAwsError(thrown, 'NoSuchKey', 'NotFound')) return undefined
        throw thrown
      }
    })
  }

  async list(prefix: string): Promise<string[]> {
    const names: string[] = []
    let from: string | undefined
    do {
      const command = new ListObjectsV2Command({ Bucket: this.bucket, Prefix: this.prefix + prefix, ContinuationToken: from })
      const page: ListObjectsV2CommandOutput = await awsCall('ListObjectsV2', this.#where(prefix), () => this.client.send(command))
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) names.push(Key.slice(this.prefix.length))
      from = page.NextContinuationToken
    } while (from !== undefined)
    return names.sort()
  }

  async delete(name: string): Promise<void> {
    await awsCall('DeleteObject', this.#where(name), () => this.client.send(new DeleteObjectCommand(this.#at(name))))
  }

  #at(name: string) {
    return { Bucket: this.bucket, Key: this.prefix + name }
  }

  #where(name: string): string {
    return `s3://${this.bucket}/${this.prefix}${name}`
  }
}

function statusOf(thrown: unknown): number | undefined {
  return (thrown as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata?.httpStatusCode
}
