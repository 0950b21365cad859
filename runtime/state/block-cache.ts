/** Blocks of segments that were read lately, up to so many bytes: keys that come one after the other often stand in one block. */
export class BlockCache {
  readonly #blocks = new Map<string, Uint8Array>()
  #bytes = 0

  constructor(readonly limitBytes: number) {}

  get(segment: number, block: number): Uint8Array | undefined {
    const name = `${segment}/${block}`
    const bytes = this.#blocks.get(name)
    if (bytes === undefined) return undefined
    // The last used stand last.
    this.#blocks.delete(name)
    this.#blocks.set(name, bytes)
    return bytes
  }

  put(segment: number, block: number, bytes: Uint8Array): void {
    this.#blocks.set(`${segment}/${block}`, bytes)
    this.#bytes += bytes.length
    for (const [name, oldest] of this.#blocks) {
      if (this.#bytes <= this.limitBytes) return
      this.#blocks.delete(name)
      this.#bytes -= oldest.length
    }
  }
}
