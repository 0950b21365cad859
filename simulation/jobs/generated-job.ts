import { compileJob, defineJob, type Job } from '../../runtime/api/index.js'
import { kinesisSource, WatermarkStrategy } from '../../runtime/index.js'
import type { CompiledJob } from '../../runtime/plan/index.js'
import { canonicalJson } from './canonical-json.js'
import { expectedOutputs } from './embedded-run.js'
import { guarded, type Poison } from './guard.js'
import { decodeItem, encodeItem, isLastWord, lastWord } from './item.js'
import type { JobPlan, PlannedStream, Scene } from './job-plan.js'
import type { JobBindings, JobFacts, ProducedRecord, SimulatedJob } from './simulated-job.js'
import { strategyOf } from './timing.js'

export interface DescribeOptions {
  readonly bindings: JobBindings
  /** How many subtasks the sources have; 1 where splits are subtasks whatever the plan says. */
  readonly sourceParallelism: number
  /** Scripted inputs stand for the sources and say the watermarks. */
  readonly scripted: boolean
}

/** A {@link SimulatedJob} made of a kind's plan. */
const ANY_JOB = defineJob('any', () => {})

export class GeneratedJob implements SimulatedJob {
  readonly name: string
  readonly sinks: readonly string[]
  readonly compare: 'exact' | 'history'
  readonly ends: boolean
  readonly settleMs: number
  #records: readonly ProducedRecord[] | undefined
  #expected: Promise<ReadonlyMap<string, readonly string[]>> | undefined

  constructor(
    readonly kind: string,
    readonly plan: JobPlan,
    readonly parallelism: number,
    readonly maxParallelism: number,
    readonly poison: Poison | undefined,
  ) {
    this.name = `${plan.name}${poison === undefined ? '' : `, ${poison.ids.size} poison (${poison.policy})`}, splits ${plan.streams.map(({ splits }) => splits).join('+')}, p ${parallelism}/${maxParallelism}`
    this.sinks = plan.sinks
    this.compare = plan.compare
    this.ends = plan.ends ?? false
    this.settleMs = plan.settleMs ?? 0
  }

  get streams(): readonly PlannedStream[] {
    return this.plan.streams
  }

  get records(): readonly ProducedRecord[] {
    this.#records ??= this.plan.puts.map(({ stream, partitionKey, item }) => ({ stream, partitionKey, data: encodeItem(item), id: item.id }))
    return this.#records
  }

  lastWord(): Uint8Array {
    return lastWord()
  }

  describe(parallelism: number, bindings: JobBindings): CompiledJob {
    const { maxParallelism } = this
    return compileJob(this.define({ bindings, sourceParallelism: 1, scripted: false }), { parallelism, maxParallelism })
  }

  define(options: DescribeOptions): Job {
    // Which module describes a job is looked up on the stack, which is not worth its time here.
    return { ...ANY_JOB, name: `simulated-${this.kind}`, define: (env) => this.plan.define(this.#scene(env, options)) }
  }

  #scene(env: Scene['env'], { bindings, sourceParallelism, scripted }: DescribeOptions): Scene {
    const { throwsFor } = bindings
    return {
      env,
      sourceParallelism,
      chance: bindings.chance,
      items: (stream) => {
        const { timing } = this.streams.find(({ name }) => name === stream) as PlannedStream
        const source = kinesisSource({ stream, deserialize: decodeItem })
        const behind = timing.assignedBehind && !scripted
        const read = env
          .fromSource(source, behind ? WatermarkStrategy.noWatermarks() : strategyOf(timing), stream)
          .uid(stream)
          .setParallelism(sourceParallelism)
        const timed = behind ? read.assignTimestampsAndWatermarks(strategyOf(timing)).setParallelism(sourceParallelism) : read
        const items = timed.filter((item) => !isLastWord(item)).setParallelism(sourceParallelism)
        return this.poison === undefined ? items : guarded(items, `${stream}-guard`, this.poison, (id) => throwsFor?.(id) === true)
      },
      sink: (name, results, place) => {
        const sink = (place === 'own' ? results.rebalance() : results).sinkTo(bindings.sinkFor(name)).uid(name).name(name)
        if (place === 'source') sink.setParallelism(sourceParallelism)
      },
    }
  }

  expected(): Promise<ReadonlyMap<string, readonly string[]>> {
    this.#expected ??= expectedOutputs(this)
    return this.#expected
  }

  canonical(sink: string, value: unknown): string {
    return canonicalJson(this.plan.canonical === undefined ? value : this.plan.canonical(sink, value))
  }

  check(facts: JobFacts): string[] {
    return this.plan.check?.(facts) ?? []
  }
}
