import { readFileSync, renameSync, writeFileSync } from 'node:fs'

/** How far a mapping is: where it began, and the last record of each shard that its function has taken. */
export interface MappingProgress {
  readonly first: 'TRIM_HORIZON' | { readonly atTimestampMs: number }
  readonly behind: ReadonlyMap<string, bigint>
}

type Written = Record<string, { readonly first: MappingProgress['first']; readonly behind: Record<string, string> }>

/** Keeps the progress of mappings by their UUIDs in a file, as Lambda keeps it somewhere. What was not written when the process ended is delivered again. */
export class PositionFile {
  readonly #mappings = new Map<string, MappingProgress>()
  #written = ''

  /** Without a path nothing outlives the process. */
  constructor(readonly path: string | undefined) {
    if (path !== undefined) this.#read(path)
  }

  get(uuid: string): MappingProgress | undefined {
    return this.#mappings.get(uuid)
  }

  set(uuid: string, progress: MappingProgress): void {
    this.#mappings.set(uuid, progress)
  }

  /** A mapping that is deleted and made again begins anew. */
  delete(uuid: string): void {
    this.#mappings.delete(uuid)
  }

  write(): void {
    if (this.path === undefined) return
    const entries = [...this.#mappings].map(([uuid, { first, behind }]) => [uuid, { first, behind: Object.fromEntries(behind) }] as const)
    const text = JSON.stringify(Object.fromEntries(entries), (_key, value) => (typeof value === 'bigint' ? String(value) : value), 1)
    if (text === this.#written) return
    writeFileSync(`${this.path}.new`, text)
    renameSync(`${this.path}.new`, this.path)
    this.#written = text
  }

  #read(path: string): void {
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw error
    }
    for (const [uuid, { first, behind }] of Object.entries(JSON.parse(text) as Written)) {
      const positions = Object.entries(behind).map(([shard, position]) => [shard, BigInt(position)] as const)
      this.#mappings.set(uuid, { first, behind: new Map(positions) })
    }
  }
}
