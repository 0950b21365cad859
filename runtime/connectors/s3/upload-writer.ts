import { randomBytes } from 'node:crypto'
import type { Committer, SinkElementContext, SinkWriter, SinkWriterContext } from '../../core/index.js'
import type { OpenedOnce } from '../base/opened-once.js'
import type { BucketWrites, S3Committable } from './bucket-writes.js'
import type { ObjectBodies, ObjectBody } from './object-bodies.js'

/** Uploads on their way before the job is held back: each has its object in memory. */
const MOST_UPLOADS = 4

/** Uploads objects as they get full, and the rest at a checkpoint; the committer makes them seen. */
export class UploadWriter<T> implements SinkWriter<T, S3Committable> {
  #uploads: Promise<S3Committable>[] = []
  readonly #onTheirWay = new Set<Promise<void>>()
  #objects = 0
  /** Names of two runs never meet: what one of them leaves uncompleted nobody sees. */
  readonly #run: string

  constructor(
    readonly bodies: ObjectBodies<T>,
    readonly nameOf: (folder: string, part: string) => string,
    { subtaskIndex, now }: SinkWriterContext,
    readonly bucket: OpenedOnce<BucketWrites>,
  ) {
    this.#run = `${subtaskIndex}-${now().toString(36)}${randomBytes(2).toString('hex')}`
  }

  write(value: T, context: SinkElementContext): void {
    const full = this.bodies.add(value, context)
    if (full !== undefined) this.#upload(full)
  }

  #upload({ folder, bytes }: ObjectBody): void {
    const key = this.nameOf(folder, `${this.#run}-${String(this.#objects++).padStart(6, '0')}`)
    const upload = this.bucket.get().then((writes) => writes.upload(key, bytes))
    this.#uploads.push(upload)
    const settled = upload.then(
      () => {},
      () => {}, // told by prepareCommit
    )
    const ended = settled.then(() => {
      this.#onTheirWay.delete(ended)
    })
    this.#onTheirWay.add(ended)
  }

  ready(): Promise<void> | undefined {
    return this.#onTheirWay.size < MOST_UPLOADS ? undefined : Promise.race(this.#onTheirWay)
  }

  prepareCommit(): Promise<readonly S3Committable[]> {
    for (const body of this.bodies.finish()) this.#upload(body)
    const uploads = this.#uploads
    this.#uploads = []
    return Promise.all(uploads)
  }

  /** What no checkpoint has is of no use to anybody. */
  async close(): Promise<void> {
    const writes = await this.bucket.opened()
    for (const upload of this.#uploads) {
      const pending = await upload.catch(() => undefined)
      if (pending !== undefined) await writes?.abandon(pending)
    }
    writes?.close()
  }
}

export class UploadCommitter implements Committer<S3Committable> {
  constructor(readonly bucket: OpenedOnce<BucketWrites>) {}

  async commit(pending: readonly S3Committable[]): Promise<void> {
    const writes = await this.bucket.get()
    for (const object of pending) await writes.complete(object)
  }

  close(): Promise<void> {
    return this.bucket.close()
  }
}
