import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import type { Cloud } from './cloud.js'

/** The checkpoints of a deployed job, and a folder that they are copied to and from. */
export class CheckpointFolder {
  readonly #bucket: string
  readonly #prefix: string

  /** `checkpoint`: address of one of them, `s3://bucket/…/chk-1`. */
  constructor(
    readonly cloud: Cloud,
    checkpoint: string,
    readonly local: string,
  ) {
    const [, bucket, prefix] = /^s3:\/\/([^/]+)\/(.+\/)chk-\d+$/.exec(checkpoint) ?? []
    if (bucket === undefined) throw new Error(`${checkpoint} is no checkpoint in a bucket`)
    this.#bucket = bucket
    this.#prefix = prefix
  }

  async download(): Promise<void> {
    for (const name of await this.#names()) {
      const { Body } = await this.cloud.clients().s3.send(new GetObjectCommand({ Bucket: this.#bucket, Key: `${this.#prefix}${name}` }))
      const file = join(this.local, name)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, (await Body?.transformToByteArray()) as Uint8Array)
    }
  }

  /** Copies what the bucket does not have. The address of the newest checkpoint. */
  async upload(): Promise<string> {
    const there = new Set(await this.#names())
    const names = readdirSync(this.local, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(this.local.length + 1))
      .filter((name) => /^(shared|chk-\d+)\//.test(name))
    for (const name of names) {
      if (there.has(name)) continue
      const Body = readFileSync(join(this.local, name))
      await this.cloud.clients().s3.send(new PutObjectCommand({ Bucket: this.#bucket, Key: `${this.#prefix}${name}`, Body }))
    }
    const ids = names.flatMap((name) => /^chk-(\d+)\//.exec(name)?.slice(1).map(Number) ?? [])
    return `s3://${this.#bucket}/${this.#prefix}chk-${Math.max(...ids)}`
  }

  async #names(): Promise<readonly string[]> {
    const { Contents = [] } = await this.cloud.clients().s3.send(new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: this.#prefix }))
    return Contents.map(({ Key }) => (Key as string).slice(this.#prefix.length))
  }
}
