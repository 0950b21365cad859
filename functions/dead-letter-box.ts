import { MillraceError } from '../runtime/core/index.js'
import type { BlobStore } from '../runtime/ports/index.js'
import type { DeadLetter } from '../runtime/task/stage-ports.js'

/** A letter as it is kept. */
export interface KeptLetter extends Omit<DeadLetter, 'record'> {
  /** Names it among the job's: `<revision>/<stage>/<subtask>/<version>/<index>`. */
  readonly id: string
  /** Base64 of a source's record (it has a `partitionKey`), the value of one from another stage. */
  readonly record: unknown
  readonly replay: Replay | null
}

/** The last time that somebody put the record into its stream again. */
export interface Replay {
  /** From 1. */
  readonly number: number
  readonly atMs: number
  /** Null: whether it came to that is not known, because whoever replayed it was cut off. */
  readonly done: ReplayedAs | null
}

/** Where the record stands now. */
export interface ReplayedAs {
  readonly stream: string
  readonly shard: string
  readonly position: string
}

/** Puts bytes into a stream outside. */
export type PutRecord = (stream: string, partitionKey: string, data: Uint8Array) => Promise<{ readonly shard: string; readonly position: string }>

const LETTER = /^(.+\/(\d+)\/\d+)\.json$/
const MARK = /^(.+)\.replay-(\d+)(\.done)?\.json$/

/**
 * The dead letters of one job.
 *
 * A letter is never changed. To replay it is marked first, then put into its stream, then marked as done: so that of two who replay the same letter
 * one does, and of one who is cut off it shows. So a record is never put twice unless somebody says `again`.
 */
export class DeadLetterBox {
  /** `blobs`: below the job's name. */
  constructor(
    readonly blobs: BlobStore,
    readonly now: () => number,
  ) {}

  /** At most `limit` letters, those of the newest versions of their logs first, and how many more there are. */
  async list(limit: number): Promise<{ readonly letters: readonly KeptLetter[]; readonly more: number }> {
    const names = await this.blobs.list('')
    const ids = names.flatMap((name) => (isMark(name) ? [] : [LETTER.exec(name)?.[1] ?? '']).filter((id) => id !== ''))
    const newest = ids.toSorted((a, b) => versionOf(b) - versionOf(a)).slice(0, limit)
    const letters = await Promise.all(newest.map((id) => this.#read(id, names)))
    return { letters: letters.toSorted((a, b) => b.atMs - a.atMs), more: ids.length - newest.length }
  }

  /** Throws OPTION_INVALID when there is none. */
  async read(id: string): Promise<KeptLetter> {
    return this.#read(id, await this.blobs.list(`${id}.`))
  }

  /**
   * Puts the record of a letter into the stream that its source reads. It is a new record there: it comes behind all that was put since, with a
   * time of arrival of its own, and its event time may be late by now. Throws CONTROL_REFUSED for one that did not come from a stream, and for
   * one that was replayed before unless `again`.
   */
  async replay(id: string, stream: string | undefined, put: PutRecord, again = false): Promise<ReplayedAs> {
    const letter = await this.read(id)
    const { partitionKey, record, replay } = letter
    if (partitionKey === null || stream === undefined) throw notOfASource(letter)
    if (replay !== null && !again) throw replayedBefore(id, replay)
    const number = (replay?.number ?? 0) + 1
    const mark = `${id}.replay-${number}`
    if ((await this.#write(mark, { atMs: this.now() })) === 'exists') throw replayedBefore(id, { number, atMs: this.now(), done: null })
    // A stream wants a key of one character at least.
    const place = await put(stream, partitionKey === '' ? id : partitionKey, Buffer.from(String(record), 'base64')).catch(async (error: unknown) => {
      if (wasRefused(error)) await this.blobs.delete(`${mark}.json`)
      throw error
    })
    const replayed: ReplayedAs = { stream, ...place }
    await this.#write(`${mark}.done`, replayed)
    return replayed
  }

  async #read(id: string, names: readonly string[]): Promise<KeptLetter> {
    const letter = await this.#json<Omit<KeptLetter, 'id' | 'replay'>>(id)
    if (letter === undefined) throw noLetter(id)
    return { id, ...letter, replay: await this.#replayOf(id, names) }
  }

  async #replayOf(id: string, names: readonly string[]): Promise<Replay | null> {
    const numbers = names.flatMap((name) => {
      const [, of, number, done] = MARK.exec(name) ?? []
      return of === id && done === undefined ? [Number(number)] : []
    })
    if (numbers.length === 0) return null
    const number = Math.max(...numbers)
    const mark = `${id}.replay-${number}`
    const { atMs } = (await this.#json<Pick<Replay, 'atMs'>>(mark)) ?? { atMs: 0 }
    return { number, atMs, done: (await this.#json<ReplayedAs>(`${mark}.done`)) ?? null }
  }

  async #json<T>(name: string): Promise<T | undefined> {
    const bytes = await this.blobs.get(`${name}.json`)
    return bytes === undefined ? undefined : (JSON.parse(new TextDecoder().decode(bytes)) as T)
  }

  #write(name: string, value: unknown): Promise<'stored' | 'exists'> {
    return this.blobs.put(`${name}.json`, new TextEncoder().encode(JSON.stringify(value)))
  }
}

function isMark(name: string): boolean {
  return MARK.test(name)
}

function versionOf(id: string): number {
  return Number(id.split('/').at(-2))
}

/** Whether the service has said that it does not do it; of what got no answer, or one of trouble within the service, nothing is known. */
function wasRefused(error: unknown): boolean {
  const { $metadata } = ((error as { readonly cause?: unknown } | null)?.cause ?? error ?? {}) as {
    readonly $metadata?: { readonly httpStatusCode?: number }
  }
  const status = $metadata?.httpStatusCode ?? 0
  return status >= 400 && status < 500
}

function noLetter(id: string): MillraceError {
  return new MillraceError('OPTION_INVALID', { what: `there is no dead letter ${id}`, todo: 'millrace dead-letters list shows what there is.' })
}

function notOfASource({ id, stage }: KeptLetter): MillraceError {
  return new MillraceError('CONTROL_REFUSED', {
    what: `the record of ${id} did not come from a stream outside but from another stage, and cannot be put there again`,
    where: `stage "${stage}"`,
    todo: 'Mend the function, deploy it, and restore a checkpoint from before the letter; or write what the record stands for into a source yourself.',
  })
}

function replayedBefore(id: string, { number, atMs, done }: Replay): MillraceError {
  const when = new Date(atMs).toISOString()
  return new MillraceError('CONTROL_REFUSED', {
    what:
      done === null
        ? `replay ${number} of ${id} began at ${when}, and whether the record was put into its stream is not known`
        : `${id} was replayed at ${when}, as record ${done.position} of ${done.shard} in ${done.stream}`,
    todo: 'To put it there once more all the same, add --again.',
  })
}
