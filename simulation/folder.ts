import { MemoryBlobStore } from '../runtime/backends/memory/index.js'
import { checkpointIdOfManifest } from '../runtime/checkpoint/checkpoint-names.js'
import type { Manifest } from '../runtime/checkpoint/index.js'
import { decodeManifest } from '../runtime/checkpoint/manifest-codec.js'
import type { BlobStore, ByteRange } from '../runtime/ports/index.js'
import type { Checks, JobObserver } from './invariants.js'

const BLOB = /^(shared|ended)\//

/** A job's folder of checkpoints: knows what is referred to by itself, and looks at every deletion (invariant 10). */
export class CheckpointFolder implements BlobStore {
  readonly #inner = new MemoryBlobStore()
  readonly #bytes = new Map<string, Uint8Array>()
  readonly #deleted = new Map<string, Uint8Array>()

  constructor(
    readonly job: string,
    readonly checks: Checks,
    /** Whether it is looked at. */
    readonly watched: boolean,
    readonly observer: () => JobObserver,
    /** How many checkpoints it keeps at least. */
    readonly kept: number,
  ) {}

  look(name: string): Uint8Array | undefined {
    return this.#bytes.get(name)
  }

  /** What stands under the name or has stood there. */
  lookBack(name: string): Uint8Array | undefined {
    return this.#bytes.get(name) ?? this.#deleted.get(name)
  }

  async put(name: string, bytes: Uint8Array): Promise<'stored' | 'exists'> {
    const outcome = await this.#inner.put(name, bytes)
    if (outcome === 'exists') return outcome
    this.#bytes.set(name, bytes.slice())
    if (this.watched && checkpointIdOfManifest(name) !== undefined && !this.#deleted.has(name)) this.holdsAll(name, decodeManifest(bytes, name))
    return outcome
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    this.#isRead(name)
    return this.#inner.get(name)
  }

  async getRange(name: string, range: ByteRange): Promise<Uint8Array | undefined> {
    this.#isRead(name)
    return this.#inner.getRange(name, range)
  }

  #isRead(name: string): void {
    const gone = this.watched && BLOB.test(name) && this.#deleted.has(name)
    this.checks.hold('10', !gone, () => `${this.job}: ${name} is read after it was deleted`)
  }

  list(prefix: string): Promise<string[]> {
    return this.#inner.list(prefix)
  }

  delete(name: string): Promise<void> {
    const bytes = this.#bytes.get(name)
    if (bytes !== undefined) {
      const why = this.watched ? this.#neededFor(name, bytes) : undefined
      this.checks.hold('10', why === undefined, () => `${this.job}: ${name} is deleted, and ${why}`)
      this.#bytes.delete(name)
      this.#deleted.set(name, bytes)
    }
    return this.#inner.delete(name)
  }

  /** All that a log, an acknowledgement or a manifest refers to stands here. */
  holdsAll(who: string, value: unknown): void {
    const missing = [...namesIn(value)].filter((name) => !this.#bytes.has(name))
    this.checks.hold('10', missing.length === 0, () => `${this.job}: ${who} refers to ${missing.join(', ')}, which ${missing.length} are not there`)
  }

  /** What nothing refers to. */
  get unreferred(): string[] {
    const referred = this.#referred()
    return [...this.#bytes.keys()].filter((name) => BLOB.test(name) && !referred.has(name))
  }

  #manifests(): Manifest[] {
    return [...this.#bytes].flatMap(([name, bytes]) => (checkpointIdOfManifest(name) === undefined ? [] : [decodeManifest(bytes, name)]))
  }

  #referred(): Set<string> {
    const { referring } = this.observer()
    const names = namesIn(referring)
    for (const manifest of this.#manifests()) if (this.#stays(manifest)) namesIn(manifest, names)
    return names
  }

  /** Whether something may be restored from it. */
  #stays({ checkpointId, kind }: Manifest): boolean {
    const { record, completed } = this.observer()
    if (kind === 'savepoint' || (record?.from?.checkpointId === checkpointId && record.from.root === undefined)) return true
    const newer = [...completed].filter(([id, { savepoint }]) => !savepoint && id > checkpointId)
    return newer.length < this.kept || checkpointId > (record?.dropped ?? 0)
  }

  #neededFor(name: string, bytes: Uint8Array): string | undefined {
    if (checkpointIdOfManifest(name) !== undefined) {
      return this.#stays(decodeManifest(bytes, name)) ? 'it may be restored' : undefined
    }
    if (this.#referred().has(name)) return 'something refers to it'
    const { record } = this.observer()
    return record?.phase === 'restoring' && name.endsWith(`a${record.attempt}.seg`) ? 'it was taken over for the attempt that begins' : undefined
  }
}

/** Names of such blobs, wherever they stand in a value. */
export function namesIn(value: unknown, into = new Set<string>()): Set<string> {
  if (typeof value === 'string') {
    if (BLOB.test(value)) into.add(value)
  } else if (Array.isArray(value) || value instanceof Set) for (const part of value) namesIn(part, into)
  else if (value instanceof Map) for (const part of value.values()) namesIn(part, into)
  else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) for (const part of Object.values(value)) namesIn(part, into)
  return into
}
