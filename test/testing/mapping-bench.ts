import { MemoryStream } from '../../runtime/backends/memory/index.js'
import {
  EventSourceMapping,
  type MappedBatch,
  type MappedFunction,
  type MappingFaults,
  type MappingOptions,
  mappedStream,
} from '../../runtime/testing/index.js'
import { ManualWorld } from './mapping-world.js'

type Answer = Awaited<ReturnType<MappedFunction>>

/** An invocation that waits for its answer. */
interface Invocation {
  readonly splitId: string
  /** Texts of the records. */
  readonly texts: readonly string[]
  readonly atMs: number
  succeed(): Promise<void>
  /** The record with this text is the first that failed. */
  failFrom(text: string): Promise<void>
  answer(failedFrom: bigint): Promise<void>
  fail(): Promise<void>
}

/** A mapping over a stream in memory, the function of which is answered for by hand. */
export class MappingBench {
  readonly world = new ManualWorld()
  readonly stream: MemoryStream
  readonly mapping: EventSourceMapping
  /** All invocations so far, answered or not. */
  readonly invocations: Invocation[] = []

  constructor(splits: readonly string[], options: Partial<MappingOptions> = {}, faults: Partial<MappingFaults> = {}) {
    this.stream = new MemoryStream(splits)
    const quiet = { pollMs: Number.POSITIVE_INFINITY, ...options }
    this.mapping = new EventSourceMapping(mappedStream(this.stream), (batch) => this.invoke(batch), this.world, quiet, faults)
  }

  /** Adds records of one letter each, and wakes the mapping. */
  async put(splitId: string, letters: string, arrivalMs = this.world.now()): Promise<void> {
    for (const letter of letters) this.stream.put(splitId, new TextEncoder().encode(letter), { arrivalMs })
    await this.wake()
  }

  async wake(): Promise<void> {
    this.mapping.wake()
    await this.world.settle()
  }

  async start(): Promise<void> {
    this.mapping.start()
    await this.world.settle()
  }

  /** As `split:abc`, in the order in which they began. */
  get deliveries(): string[] {
    return this.invocations.map(({ splitId, texts }) => `${splitId}:${texts.join('')}`)
  }

  get last(): Invocation {
    const last = this.invocations.at(-1)
    if (last === undefined) throw new Error('no invocation')
    return last
  }

  /** Acknowledges whatever comes, until nothing does. */
  async drain(): Promise<void> {
    for (let done = 0; done < this.invocations.length; done++) await this.invocations[done].succeed()
  }

  readonly invoke = ({ splitId, records }: MappedBatch): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const texts = records.map(({ data }) => new TextDecoder().decode(data))
      const answer = (failedFrom: bigint | undefined) => {
        resolve({ failedFrom })
        return this.world.settle()
      }
      this.invocations.push({
        splitId,
        texts,
        atMs: this.world.now(),
        succeed: () => answer(undefined),
        failFrom: (text) => answer(records[texts.indexOf(text)].position),
        answer,
        fail: () => {
          reject(new Error('failed'))
          return this.world.settle()
        },
      })
    })
}
