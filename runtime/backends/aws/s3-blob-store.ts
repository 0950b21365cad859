import { setTimeout as pause } from 'node:timers/promises'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { BlobStore, ByteRange } from '../../ports/index.js'
import { awsCall, isAwsError } from './aws-call.js'

/** Blobs as objects of a bucket, below a prefix (which ends with `/`, or is empty). */
export class S3BlobStore implements BlobStore {
  constructor(
    readonly client: S3Client,
    readonly bucket: string,
    readonly prefix = '',
  ) {}

  /**
   * Relies on S3's conditional writes: of several writers of one name one wins. A put whose answer was lost is tried again by the SDK, and finds
   * its own blob: `exists`.
   */
  async put(name: string, bytes: Uint8Array): Promise<'stored' | 'exists'> {
    const at = this.#at(name)
    return awsCall('PutObject', this.#where(name), () =>
      tryAgain(isUndecided, async () => {
        try {
          await this.client.send(new PutObjectCommand({ ...at, Body: bytes, IfNoneMatch: '*' }))
          return 'stored'
        } catch (thrown) {
          if (isAwsError(thrown, 'PreconditionFailed') || statusOf(thrown) === 412) return 'exists'
          throw thrown
        }
      }),
    )
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return this.#get(name, {})
  }

  getRange(name: string, { from, to }: ByteRange): Promise<Uint8Array | undefined> {
    return this.#get(name, { Range: `bytes=${from}-${to - 1}` })
  }

  async #get(name: string, part: Pick<GetObjectCommandInput, 'Range'>): Promise<Uint8Array | undefined> {
    const at = { ...this.#at(name), ...part }
    return awsCall('GetObject', this.#where(name), () =>
      tryAgain(isOfBody, async () => {
        try {
          const { Body } = await this.client.send(new GetObjectCommand(at))
          return await Body?.transformToByteArray()
        } catch (thrown) {
          if (isAwsError(thrown, 'NoSuchKey', 'NotFound')) return undefined
          throw thrown
        }
      }),
    )
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

const TRIES = 4
const FIRST_PAUSE_MS = 50

/** For what the SDK does not try again by itself. */
async function tryAgain<T>(isWorthIt: (thrown: unknown) => boolean, call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call()
    } catch (thrown) {
      if (tries === TRIES || !isWorthIt(thrown)) throw thrown
    }
    await pause(Math.random() * FIRST_PAUSE_MS * 2 ** tries)
  }
}

/** Two puts of the name, or a put and a delete, were under way at the same time: S3 wants the put again. */
function isUndecided(thrown: unknown): boolean {
  return isAwsError(thrown, 'ConditionalRequestConflict') || statusOf(thrown) === 409
}

/** The call has succeeded, and then its bytes broke off or were not those of their checksum: what comes from the call itself has metadata. */
function isOfBody(thrown: unknown): boolean {
  return (thrown as { readonly $metadata?: unknown }).$metadata === undefined
}

function statusOf(thrown: unknown): number | undefined {
  return (thrown as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata?.httpStatusCode
}
