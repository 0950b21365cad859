import fc from 'fast-check'
import { expect, it } from 'vitest'
import { MemoryStream } from '../../runtime/backends/memory/index.js'
import {
  EventSourceMapping,
  FunctionInstances,
  type MappedBatch,
  type MappedFunction,
  type MappingFaults,
  type MappingOptions,
  mappedStream,
} from '../../runtime/testing/index.js'
import { ManualWorld } from './mapping-world.js'

/** What happens to the stream and the mapping, one thing after another. */
type Step = { readonly kind: 'put' | 'split' | 'merge' | 'close' | 'disable' | 'repoint'; readonly on: number; readonly waitMs: number }

interface Scenario {
  readonly seed: number
  readonly options: Partial<MappingOptions>
  readonly faults: MappingFaults
  /** Probability that an invocation rejects, and that it reports a record. */
  readonly rejects: number
  readonly reports: number
  /** Most that an invocation takes, ms. */
  readonly slowness: number
  readonly steps: readonly Step[]
}

const often = fc.constantFrom(0, 0.1, 0.3)

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  seed: fc.integer(),
  options: fc.record({
    batchSize: fc.integer({ min: 1, max: 6 }),
    batchingWindowMs: fc.constantFrom(0, 50),
    maxBatchBytes: fc.constantFrom(12, 1000),
    bisectOnError: fc.boolean(),
    partialResponses: fc.constant(true),
    timeoutMs: fc.constantFrom(40, 60_000),
    retryDelayMs: fc.constantFrom(0, 10),
    pollMs: fc.constantFrom(30, 1000),
  }),
  faults: fc.record({ duplicate: often, splitRetry: often, loseAnswer: often, reDeliverOld: often, timeout: often }),
  rejects: often,
  reports: often,
  slowness: fc.constantFrom(0, 30, 100),
  steps: fc.array(
    fc.record({
      kind: fc.constantFrom('put', 'put', 'put', 'split', 'merge', 'close', 'disable', 'repoint'),
      on: fc.nat(20),
      waitMs: fc.constantFrom(0, 5, 100),
    }),
    { maxLength: 25 },
  ),
})

it('whatever happens, each record is acknowledged, in the order of its shard, and children behind their parents', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => {
      const run = new Run(scenario)
      await run.play()
      run.check()
    }),
    { numRuns: 100 },
  )
})

it('the same world gives the same deliveries', async () => {
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => {
      const [first, second] = [new Run(scenario), new Run(scenario)]
      await first.play()
      await second.play()
      expect(second.trace).toEqual(first.trace)
    }),
    { numRuns: 15 },
  )
})

class Run {
  readonly trace: string[] = []
  readonly #world: ManualWorld
  readonly #stream = new MemoryStream(['0', '1'])
  readonly #mapping: EventSourceMapping
  /** By shard: positions in the order in which they were acknowledged first. */
  readonly #acknowledged = new Map<string, bigint[]>()
  readonly #running = new Map<string, number>()
  readonly #instances: FunctionInstances<{ busy: boolean }>
  #splits = 2

  constructor(readonly scenario: Scenario) {
    this.#world = new ManualWorld(scenario.seed)
    this.#instances = new FunctionInstances(() => ({ busy: false }), this.#world, { reuse: 0.7, maxIdle: 2, retire: 0.1 })
    this.#mapping = new EventSourceMapping(mappedStream(this.#stream), this.#function('a'), this.#world, scenario.options, scenario.faults)
  }

  async play(): Promise<void> {
    this.#mapping.start()
    for (const step of this.scenario.steps) {
      this.#take(step)
      if (step.on % 2 === 0) this.#mapping.wake()
      await this.#world.pass(step.waitMs)
    }
    this.#mapping.enable()
    this.#mapping.wake()
    const slow = this.scenario.slowness >= (this.scenario.options.timeoutMs ?? 0)
    // An invocation that mostly takes longer than it may needs luck, and so does one that is always lost: enough of it was had.
    await this.#world.pass(2000)
    this.#mapping.setFaults(slow ? {} : { ...this.scenario.faults, reDeliverOld: 0 })
    await this.#world.passUntil(() => this.#mapping.idle)
  }

  check(): void {
    for (const { splitId } of this.#stream.splits()) {
      expect(this.#acknowledged.get(splitId) ?? []).toEqual(this.#stream.records(splitId).map(({ position }) => position))
    }
  }

  #take({ kind, on }: Step): void {
    const open = this.#stream.splits().filter(({ closed }) => !closed)
    const splitId = open[on % Math.max(1, open.length)]?.splitId
    if (kind === 'disable') this.#mapping.disable()
    else if (kind === 'repoint') {
      this.#mapping.enable()
      this.#mapping.repoint(this.#function(String(on)))
    } else if (splitId === undefined) return
    else if (kind === 'put') for (let i = 0; i < on; i++) this.#stream.put(splitId, new Uint8Array(i % 4), { arrivalMs: this.#world.now() })
    else if (kind === 'close') this.#stream.close(splitId)
    else if (kind === 'split') this.#stream.reshard([splitId], [this.#newSplit(), this.#newSplit()])
    else
      this.#stream.reshard(
        open.slice(0, 2).map((split) => split.splitId),
        [this.#newSplit()],
      )
  }

  #newSplit(): string {
    return String(this.#splits++)
  }

  #function(name: string): MappedFunction {
    return (batch) =>
      this.#instances.run(async (instance) => {
        expect(instance.busy).toBe(false)
        instance.busy = true
        try {
          return await this.#invoke(name, batch)
        } finally {
          instance.busy = false
        }
      })
  }

  async #invoke(name: string, { splitId, records }: MappedBatch): ReturnType<MappedFunction> {
    const { slowness, rejects, reports, options } = this.scenario
    this.trace.push(`${this.#world.now()} ${name} ${splitId} ${records.map(({ position }) => position)}`)
    expect(records.length).toBeGreaterThan(0)
    expect(records.length).toBeLessThanOrEqual(options.batchSize ?? 0)
    this.#checkBegun(splitId)
    const running = this.#running.get(splitId) ?? 0
    if (this.#mapping.stats.timedOut === 0) expect(running).toBe(0)
    this.#running.set(splitId, running + 1)
    await this.#world.sleep(Math.floor(this.#world.random() * slowness))
    this.#running.set(splitId, (this.#running.get(splitId) ?? 0) - 1)
    if (this.#world.random() < rejects) throw new Error('rejected')
    const failed = this.#world.random() < reports ? Math.floor(this.#world.random() * records.length) : records.length
    const acknowledged = this.#acknowledged.get(splitId) ?? []
    for (const { position } of records.slice(0, failed)) if (!acknowledged.includes(position)) acknowledged.push(position)
    this.#acknowledged.set(splitId, acknowledged)
    return { failedFrom: records[failed]?.position }
  }

  /** All ancestors are acknowledged to their end. */
  #checkBegun(splitId: string): void {
    for (const parent of this.#stream.splits().find((split) => split.splitId === splitId)?.parents ?? []) {
      expect(this.#acknowledged.get(parent)?.length ?? 0).toBe(this.#stream.records(parent).length)
      this.#checkBegun(parent)
    }
  }
}
