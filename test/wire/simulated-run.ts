import type { Shard } from '@aws-sdk/client-kinesis'
import type { Chance } from '../../simulation/chance.js'
import type { generateJob, JobFacts } from '../../simulation/jobs/index.js'
import { MarkedOutputs } from './marked-outputs.js'
import { WiredJob, type WiredJobOptions } from './wired-job.js'

type GeneratedJob = ReturnType<typeof generateJob>

/** A generated job of the simulation on the servers: its producers, and what has come out. */
export class SimulatedRun {
  #put = 0

  private constructor(
    readonly generated: GeneratedJob,
    readonly job: WiredJob,
    readonly outputs: MarkedOutputs,
    readonly chance: Chance,
  ) {}

  static async begin(generated: GeneratedJob, chance: Chance, options: WiredJobOptions): Promise<SimulatedRun> {
    const outputs = new MarkedOutputs()
    const bindings = { sinkFor: (name: string) => outputs.sinkFor(name), chance: () => chance.next() }
    const described = generated.define({ bindings, sourceParallelism: 1, scripted: false })
    const shards = Object.fromEntries(generated.streams.map(({ name, splits }) => [name, splits]))
    const job = await WiredJob.deploy(described, [], generated.parallelism, { ...options, shards })
    await job.activate()
    return new SimulatedRun(generated, job, outputs, chance)
  }

  /** Puts records up to this part of all of them. */
  async put(part: number): Promise<void> {
    const { records } = this.generated
    const to = Math.round(records.length * part)
    for (const { name } of this.generated.streams) {
      const own = records.slice(this.#put, to).filter(({ stream }) => stream === name)
      if (own.length > 0) await this.job.put(own, name)
    }
    this.#put = to
  }

  /** Splits an open shard of a stream, or merges two that are neighbours. */
  async reshard(): Promise<void> {
    const { name } = this.chance.pick(this.generated.streams)
    const open = await this.#open(name)
    const at = this.chance.below(open.length)
    const neighbours = open.slice(at, at + (this.chance.happens(0.5) ? 2 : 1))
    await this.job.reshard(neighbours.map(numberOf), name)
  }

  /** Behind the records of every open shard. */
  async putLastWords(): Promise<void> {
    for (const { name } of this.generated.streams) {
      const data = this.generated.lastWord()
      const words = (await this.#open(name)).map(({ HashKeyRange }) => ({ data, partitionKey: 'last', hashKey: HashKeyRange?.StartingHashKey }))
      await this.job.put(words, name)
    }
  }

  /** In the order of their slices of the hash space. */
  async #open(stream: string): Promise<Shard[]> {
    const open = (await this.job.shards(stream)).filter(({ SequenceNumberRange }) => SequenceNumberRange?.EndingSequenceNumber === undefined)
    const startOf = ({ HashKeyRange }: Shard) => BigInt(HashKeyRange?.StartingHashKey as string)
    return open.sort((a, b) => (startOf(a) < startOf(b) ? -1 : 1))
  }

  async facts(): Promise<JobFacts> {
    const splits = new Map<string, number>()
    for (const { name } of this.generated.streams) splits.set(name, (await this.job.shards(name)).length)
    return { outputs: this.outputs.bySink, parallelisms: [this.generated.parallelism], splits }
  }
}

function numberOf({ ShardId = '' }: Shard): number {
  return Number(ShardId.slice(ShardId.indexOf('-') + 1))
}
