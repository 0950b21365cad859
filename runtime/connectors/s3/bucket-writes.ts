import type { S3Client } from '@aws-sdk/client-s3'
import { isAwsError } from '../../backends/aws/aws-call.js'
import { MillraceError } from '../../core/index.js'
import { clientSettings, loadSdk } from '../base/aws-sdk.js'
import { patiently } from '../base/patience.js'

type Sdk = typeof import('./s3-sdk.js')

/** An object that has been uploaded and is not seen before it is completed. */
export interface S3Committable {
  readonly key: string
  readonly uploadId: string
  readonly etag: string
  readonly bytes: number
}

/** Writes objects into one bucket. */
export class BucketWrites {
  private constructor(
    readonly sdk: Sdk,
    readonly client: S3Client,
    readonly bucket: string,
  ) {}

  /** Throws PACKAGE_MISSING. */
  static async open(bucket: string): Promise<BucketWrites> {
    const sdk = await loadSdk(() => import('./s3-sdk.js'))
    const client = new sdk.S3Client({ ...(await clientSettings()), ...addressStyle() })
    return new BucketWrites(sdk, client, bucket)
  }

  close(): void {
    this.client.destroy()
  }

  /** Replaces an object of that name: whoever writes the same again changes nothing. */
  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#call('PutObject', key, () => this.client.send(new this.sdk.PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body })))
  }

  /** Uploads an object that nobody sees yet, as an upload of one part. */
  async upload(key: string, body: Uint8Array): Promise<S3Committable> {
    const place = { Bucket: this.bucket, Key: key }
    const { UploadId } = await this.#call('CreateMultipartUpload', key, () => this.client.send(new this.sdk.CreateMultipartUploadCommand(place)))
    const part = { ...place, UploadId, PartNumber: 1, Body: body }
    const { ETag } = await this.#call('UploadPart', key, () => this.client.send(new this.sdk.UploadPartCommand(part)))
    return { key, uploadId: UploadId as string, etag: ETag as string, bytes: body.length }
  }

  /** Makes it seen. May be repeated: an upload that is no more has been completed when the object is there. */
  async complete({ key, uploadId, etag, bytes }: S3Committable): Promise<void> {
    const place = { Bucket: this.bucket, Key: key }
    const command = new this.sdk.CompleteMultipartUploadCommand({
      ...place,
      UploadId: uploadId,
      MultipartUpload: { Parts: [{ PartNumber: 1, ETag: etag }] },
    })
    try {
      await patiently(() => this.client.send(command))
    } catch (thrown) {
      if (!isAwsError(thrown, 'NoSuchUpload')) throw this.#failed('CompleteMultipartUpload', key, thrown)
      const head = await this.#call('HeadObject', key, () => this.client.send(new this.sdk.HeadObjectCommand(place)).catch(absent))
      if (head?.ContentLength === bytes) return
      throw new MillraceError('CHECKPOINT_CORRUPT', {
        what: 'an upload that the checkpoint names is gone, and the object is not there',
        where: `s3://${this.bucket}/${key}`,
        todo: 'Restore another checkpoint. The bucket should keep incomplete uploads for longer than a job may stand still.',
        cause: thrown,
      })
    }
  }

  /** What is not needed any more; if it fails the bucket's rule for incomplete uploads does it. */
  async abandon({ key, uploadId }: S3Committable): Promise<void> {
    await this.client.send(new this.sdk.AbortMultipartUploadCommand({ Bucket: this.bucket, Key: key, UploadId: uploadId })).catch(() => undefined)
  }

  async #call<R>(what: string, key: string, call: () => Promise<R>): Promise<R> {
    try {
      return await patiently(call)
    } catch (thrown) {
      throw this.#failed(what, key, thrown)
    }
  }

  #failed(what: string, key: string, cause: unknown): MillraceError {
    const name = cause instanceof Error ? cause.name : 'Error'
    return new MillraceError('AWS_CALL', {
      what: `${what} failed with ${name}: ${(cause as Partial<Error>)?.message ?? ''}`,
      where: `s3://${this.bucket}/${key}`,
      todo: todoOf(name),
      cause,
    })
  }
}

function absent(thrown: unknown): undefined {
  if (isAwsError(thrown, 'NotFound', 'NoSuchKey')) return undefined
  throw thrown
}

/** Servers that stand in for S3 rarely have a name for each bucket. */
function addressStyle(): { readonly forcePathStyle?: true } {
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL } = process.env
  return AWS_ENDPOINT_URL_S3 === undefined && AWS_ENDPOINT_URL === undefined ? {} : { forcePathStyle: true }
}

function todoOf(name: string): string {
  if (name === 'NoSuchBucket') return 'Check the name, the region and the account; --bind name=physical says what a logical name is called.'
  if (name.startsWith('AccessDenied')) return 'Allow s3:PutObject, s3:GetObject and s3:AbortMultipartUpload on the objects.'
  return 'It is tried again: the batch comes again, or the job goes on from its last checkpoint.'
}
