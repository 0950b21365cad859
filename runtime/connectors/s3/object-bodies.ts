import { gzipSync } from 'node:zlib'
import type { SinkElementContext } from '../../core/index.js'
import type { SinkFormat } from '../file/sink/index.js'

export interface BodySettings<T> {
  readonly format: SinkFormat<T>
  /** Folder of a value, without slashes at its ends; empty: none. */
  readonly folderOf: (value: T, context: SinkElementContext) => string
  readonly maxObjectBytes: number
  readonly gzip: boolean
}

/** What an object is to hold. */
export interface ObjectBody {
  readonly folder: string
  readonly bytes: Uint8Array
}

interface OpenBody {
  readonly texts: string[]
  bytes: number
}

/** Gathers values into objects by their folders. What comes in the same order gives the same bytes. */
export class ObjectBodies<T> {
  readonly #open = new Map<string, OpenBody>()

  constructor(readonly settings: BodySettings<T>) {}

  /** The object that is full with the value, if one is. */
  add(value: T, context: SinkElementContext): ObjectBody | undefined {
    const { format, folderOf, maxObjectBytes } = this.settings
    const folder = folderOf(value, context)
    const text = format.encode(value)
    let open = this.#open.get(folder)
    if (open === undefined) {
      const header = format.header ?? ''
      open = { texts: [header], bytes: Buffer.byteLength(header) }
      this.#open.set(folder, open)
    }
    open.texts.push(text)
    open.bytes += Buffer.byteLength(text)
    if (open.bytes < maxObjectBytes) return undefined
    this.#open.delete(folder)
    return this.#body(folder, open)
  }

  /** All that is open, by folder. */
  finish(): readonly ObjectBody[] {
    const all = [...this.#open].sort(([a], [b]) => (a < b ? -1 : 1))
    this.#open.clear()
    return all.map(([folder, open]) => this.#body(folder, open))
  }

  #body(folder: string, { texts }: OpenBody): ObjectBody {
    const bytes = Buffer.from(texts.join(''), 'utf8')
    return { folder, bytes: this.settings.gzip ? gzipSync(bytes) : bytes }
  }
}
