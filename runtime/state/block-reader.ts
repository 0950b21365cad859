import { BlockCache } from './block-cache.js'
import type { RemoteSegment } from './key-loader.js'

/** Blocks that lie no further apart are read in one go, with what is between them. */
const GAP_BYTES = 32 * 1024
const LONGEST_READ_BYTES = 4 * 1024 * 1024
const MOST_READS_IN_FLIGHT = 32

interface BlockRun {
  readonly segment: number
  /** Rising. */
  readonly blocks: number[]
}

/** Reads blocks of segments, those that lie close together in one go; those that were read lately are still there. */
export class BlockReader {
  readonly #cache: BlockCache

  constructor(
    readonly segments: readonly RemoteSegment[],
    cacheBytes: number,
  ) {
    this.#cache = new BlockCache(cacheBytes)
  }

  /** `wanted`: for each segment the numbers of blocks, rising. The same with their bytes. Throws what reading throws. */
  async read(wanted: readonly ReadonlySet<number>[]): Promise<readonly ReadonlyMap<number, Uint8Array>[]> {
    const found = wanted.map(() => new Map<number, Uint8Array>())
    const runs: BlockRun[] = []
    for (const [segment, numbers] of wanted.entries()) {
      const missing: number[] = []
      for (const block of numbers) {
        const known = this.#cache.get(segment, block)
        if (known === undefined) missing.push(block)
        else found[segment].set(block, known)
      }
      for (const blocks of runsOf(missing, this.segments[segment].footer.offsets)) runs.push({ segment, blocks })
    }
    let next = 0
    const readOn = async () => {
      while (next < runs.length) await this.#read(runs[next++], found)
    }
    try {
      await Promise.all(Array.from({ length: Math.min(runs.length, MOST_READS_IN_FLIGHT) }, readOn))
    } finally {
      // When one fails, nobody waits for the others.
      next = runs.length
    }
    return found
  }

  async #read({ segment, blocks }: BlockRun, found: readonly Map<number, Uint8Array>[]): Promise<void> {
    const { footer, read } = this.segments[segment]
    const from = footer.offsets[blocks[0]]
    const bytes = await read({ from, to: footer.offsets[blocks[blocks.length - 1] + 1] })
    for (const block of blocks) {
      // A copy: a view would keep all that was read with it.
      const ofBlock = bytes.slice(footer.offsets[block] - from, footer.offsets[block + 1] - from)
      this.#cache.put(segment, block, ofBlock)
      found[segment].set(block, ofBlock)
    }
  }
}

/** Bytes that are read for a block behind `last`, the one that is read before it, with what is between them; undefined: it is the first. */
export function bytesToRead(offsets: readonly number[], last: number | undefined, block: number): number {
  if (last === block) return 0
  const from = last !== undefined && isNear(offsets, last, block) ? offsets[last + 1] : offsets[block]
  return offsets[block + 1] - from
}

function isNear(offsets: readonly number[], last: number, block: number): boolean {
  return offsets[block] - offsets[last + 1] <= GAP_BYTES
}

/** Blocks that are read together; `numbers` rise. */
function runsOf(numbers: readonly number[], offsets: readonly number[]): number[][] {
  const runs: number[][] = []
  for (const block of numbers) {
    const run = runs.at(-1)
    const near = run !== undefined && isNear(offsets, run[run.length - 1], block)
    if (near && offsets[block + 1] - offsets[run[0]] <= LONGEST_READ_BYTES) run.push(block)
    else runs.push([block])
  }
  return runs
}
