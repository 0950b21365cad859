import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { isAwsError } from '../../backends/aws/aws-call.js'
import { MillraceError } from '../../core/index.js'
import { clientSettings } from '../base/aws-client.js'
import { callFailed } from '../base/call-failed.js'
import { patiently } from '../base/patience.js'

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
    readonly client: S3Client,
    readonly bucket: string,
  ) {}

  static async open(bucket: string): Promise<BucketWrites> {
    return new BucketWrites(new S3Client({ ...(await clientSettings()), ...addressStyle() }), bucket)
  }

  close(): void {
    this.client.destroy()
  }

  /** Replaces an object of that name: whoever writes the same again changes nothing. */
  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#call('PutObject', key, () => this.client.send(new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body })))
  }

  /** Uploads an object that nobody sees yet, as an upload of one part. */
  async upload(key: string, body: Uint8Array): Promise<S3Committable> {
    const place = { Bucket: this.bucket, Key: key }
    const { UploadId } = await this.#call('CreateMultipartUpload', key, () => this.client.send(new CreateMultipartUploadCommand(place)))
    const part = { ...place, UploadId, PartNumber: 1, Body: body }
    const { ETag } = await this.#call('UploadPart', key, () => this.client.send(new UploadPartCommand(part)))
    return { key, uploadId: UploadId as string, etag: ETag as string, bytes: body.length }
  }

  /** Makes it seen. May be repeated: an upload that is no more has been completed when the object is there. */
  async complete({ key, uploadId, etag, bytes }: S3Committable): Promise<void> {
    const place = { Bucket: this.bucket, Key: key }
    const command = new CompleteMultipartUploadCommand({
      ...place,
      UploadId: uploadId,
      MultipartUpload: { Parts: [{ PartNumber: 1, ETag: etag }] },
    })
    try {
      await patiently(() => this.client.send(command))
    } catch (thrown) {
      if (!isAwsError(thrown, 'NoSuchUpload')) throw this.#failed('CompleteMultipartUpload', key, thrown)
      const head = await this.#call('HeadObject', key, () => this.client.send(new HeadObjectCommand(place)).catch(absent))
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
    await this.client.send(new AbortMultipartUploadCommand({ Bucket: this.bucket, Key: key, UploadId: uploadId })).catch(() => undefined)
  }

  async #call<R>(what: string, key: string, call: () => Promise<R>): Promise<R> {
    try {
      return await patiently(call)
    } catch (thrown) {
      throw this.#failed(what, key, thrown)
    }
  }

  #failed(what: string, key: string, cause: unknown): MillraceError {
    return callFailed('AWS_CALL', {
      what,
      where: `s3://${this.bucket}/${key}`,
      cause,
      allow: 's3:PutObject, s3:GetObject and s3:AbortMultipartUpload on the objects',
      todo: 'It is tried again: the batch comes again, or the job goes on from its last checkpoint.',
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
