import type { MemoryStream } from '../runtime/backends/memory/index.js'
import { hashText } from './chance.js'

/** A shard of a stream outside: the records whose keys' hashes are from `low` to `high`. */
export interface Shard {
  readonly id: string
  readonly low: number
  readonly high: number
  readonly parents: readonly string[]
  /** Of the shards that go on with its range; while it is open, undefined. */
  children: readonly string[] | undefined
}

/** The hash space is 16 bits here. */
const HASHES = 0x1_0000

/** Shards of a new stream by id, each with an even part of the hash space. */
export function firstShards(count: number): Shard[] {
  return Array.from({ length: count }, (_, i) => ({
    id: shardId(i),
    low: Math.floor((i * HASHES) / count),
    high: Math.floor(((i + 1) * HASHES) / count) - 1,
    parents: [],
    children: undefined,
  }))
}

function shardId(index: number): string {
  return `shardId-${String(index).padStart(12, '0')}`
}

/** A stream outside that a job reads, as Kinesis has it: shards by ranges of a hash, which are split and merged. */
export class SourceStream {
  readonly shards: Map<string, Shard>

  constructor(
    readonly name: string,
    readonly stream: MemoryStream,
    first: readonly Shard[],
  ) {
    this.shards = new Map(first.map((shard) => [shard.id, shard]))
  }

  get open(): Shard[] {
    return [...this.shards.values()].filter(({ children }) => children === undefined)
  }

  /** False when the shard of the key has ended: the record goes nowhere. */
  put(partitionKey: string, data: Uint8Array, nowMs: number): boolean {
    const hash = (hashText(partitionKey) >>> 0) % HASHES
    const shard = this.open.find(({ low, high }) => low <= hash && hash <= high)
    if (shard === undefined) return false
    this.stream.put(shard.id, data, { partitionKey, arrivalMs: nowMs })
    return true
  }

  /** Two halves go on in its place. */
  split(shard: Shard): boolean {
    if (shard.high === shard.low) return false
    const middle = Math.floor((shard.low + shard.high) / 2)
    this.#reshard(
      [shard],
      [
        [shard.low, middle],
        [middle + 1, shard.high],
      ],
    )
    return true
  }

  /** Merges a shard with its neighbour above; false when it has none that is open. */
  merge(shard: Shard): boolean {
    const neighbour = this.open.find(({ low }) => low === shard.high + 1)
    if (neighbour === undefined) return false
    this.#reshard([shard, neighbour], [[shard.low, neighbour.high]])
    return true
  }

  /** Nothing goes on in its place. */
  close(shard: Shard): void {
    shard.children = []
    this.stream.close(shard.id)
  }

  #reshard(parents: readonly Shard[], ranges: readonly (readonly [low: number, high: number])[]): void {
    const first = this.shards.size
    const ids = parents.map(({ id }) => id)
    const children = ranges.map(([low, high], i): Shard => ({ id: shardId(first + i), low, high, parents: ids, children: undefined }))
    for (const child of children) this.shards.set(child.id, child)
    for (const parent of parents) parent.children = children.map(({ id }) => id)
    this.stream.reshard(
      ids,
      children.map(({ id }) => id),
    )
  }
}
