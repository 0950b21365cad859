import { jsonNumber, jsonValue, numberOf } from '../../oracle/json-number.js'
import type { CaseResult, OracleCase, ResultItem, Step } from '../../oracle/oracle-case.js'
import { caseJob, type PipelineEnds } from '../../oracle/pipeline.js'
import { CommandLineParameters, compileJob } from '../../runtime/api/index.js'
import { kinesisSource, MAX_WATERMARK, NO_TIMESTAMP, type Sink, WatermarkStrategy } from '../../runtime/index.js'
import type { CompiledJob, JobGraph, VertexPlan } from '../../runtime/plan/index.js'
import { JobControl } from '../../runtime/task/job-control.js'
import { hasSource } from '../../runtime/task/stage-names.js'
import { StageSubtask } from '../../runtime/task/stage-subtask.js'
import { MemoryWorld } from './memory-world.js'

export interface StageRunOptions {
  readonly parallelism?: number
  /** Every stage starts cold at each step. */
  readonly cold?: boolean
  /** A checkpoint behind each step, so that a cold start begins with its segments. */
  readonly cuts?: boolean
}

/**
 * Runs a case through the stages as functions on AWS run them, on ports in memory. A step is a record of the source's stream, and all stages
 * come to rest before the next. The result has the records only: no sink sees watermarks and statuses.
 */
export function runInStages(oracleCase: OracleCase, options: StageRunOptions = {}): Promise<CaseResult> {
  return new StageRun(oracleCase, options).run()
}

const PLAN = 'plan'
const SPLIT = 'shard'

function subtasksOf(vertex: VertexPlan): readonly string[] {
  return hasSource(vertex) ? [SPLIT] : Array.from({ length: vertex.parallelism }, (_, index) => String(index))
}

/** What an input says beside elements, said by its watermark generator. */
const asTheStepsSay = WatermarkStrategy.forGenerator<Step>(() => ({
  onEvent({ wm, idle, end }, _timestamp, output) {
    if (wm !== undefined) output.emitWatermark(numberOf(wm))
    if (end === true) output.emitWatermark(MAX_WATERMARK)
    if (idle === true) output.markIdle()
    if (idle === false) output.markActive()
  },
  onPeriodicEmit: () => {},
}))

class StageRun {
  readonly #outputs: Record<string, ResultItem[]> = { main: [] }
  readonly #world: MemoryWorld
  readonly #graph: JobGraph
  readonly #control: JobControl
  /** Warm instances, by stage and subtask. */
  #instances = new Map<string, StageSubtask>()
  /** How many records of each shard have been taken. */
  readonly #taken = new Map<string, number>()
  /** The last version of each writer. */
  readonly #written = new Map<string, number>()
  #now = 0
  #step = -1

  constructor(
    readonly oracleCase: OracleCase,
    readonly options: StageRunOptions,
  ) {
    this.#world = new MemoryWorld(() => this.#now)
    this.#graph = this.#describe().graph
    for (const { id, parallelism } of this.#graph.vertices.filter((vertex) => !hasSource(vertex))) this.#world.streams.createForStage(id, parallelism)
    for (const input of oracleCase.inputs) this.#world.streams.create(input, [SPLIT])
    const sources = Object.fromEntries(oracleCase.inputs.map((input) => [input, input]))
    this.#control = new JobControl({ deployment: this.#deployment, graph: this.#graph, sources, ports: this.#world.ports, timeoutMs: 60_000 })
  }

  get #deployment() {
    return { job: this.oracleCase.name, revision: '1', plan: PLAN }
  }

  async run(): Promise<CaseResult> {
    await this.#control.activate({ from: null })
    for (const [index, step] of this.oracleCase.steps.entries()) {
      this.#step = index
      if (this.options.cold === true || step.restore === true) this.#instances = new Map()
      if (step.procTime !== undefined) this.#now = numberOf(step.procTime)
      else if (step.restore === undefined) this.#put(step)
      await this.#comeToRest()
      if (this.options.cuts === true) await this.#cut()
    }
    return { outputs: this.#outputs }
  }

  #put(step: Step): void {
    const arrivalMs = step.ts === undefined || step.ts === null ? NO_TIMESTAMP : numberOf(step.ts)
    this.#world.streams.stream(step.in ?? this.oracleCase.inputs[0]).put(SPLIT, new TextEncoder().encode(JSON.stringify(step)), { arrivalMs })
  }

  async #comeToRest(): Promise<void> {
    for (let busy = true; busy; ) {
      busy = false
      for (const vertex of this.#graph.vertices) {
        for (const subtask of subtasksOf(vertex)) if (await this.#takeBatch(vertex.id, subtask)) busy = true
      }
      for (const { target } of this.#world.pokes.take(this.#now)) {
        await this.#instance(target.stage, target.subtask).invoke({ kind: 'poke' })
        busy = true
      }
    }
  }

  async #takeBatch(stage: string, subtask: string): Promise<boolean> {
    const name = `${stage}/${subtask}`
    const all = this.#world.streams.stream(stage).records(subtask)
    const records = all.slice(this.#taken.get(name) ?? 0)
    if (records.length === 0) return false
    await this.#instance(stage, subtask).invoke({ kind: 'batch', records })
    this.#taken.set(name, (this.#taken.get(name) ?? 0) + records.length)
    return true
  }

  async #cut(): Promise<void> {
    const begun = await this.#control.begin('checkpoint')
    // A step that changed nothing: the checkpoint before says the same.
    if (begun.status === 'unchanged') return
    await this.#comeToRest()
    const { status } = await this.#control.poll()
    if (status !== 'completed') throw new Error(`the checkpoint is ${status}`)
  }

  #instance(stage: string, subtask: string): StageSubtask {
    const name = `${stage}/${subtask}`
    let instance = this.#instances.get(name)
    if (instance === undefined) {
      instance = new StageSubtask({
        deployment: this.#deployment,
        describe: () => this.#describe(),
        stage,
        subtask,
        parameters: CommandLineParameters.from([]),
        ports: this.#world.ports,
        settings: { longestTail: 3, sweepTimers: 2 }, // so that the longer cases begin new bases, and timers fire in several commits
      })
      this.#instances.set(name, instance)
    }
    return instance
  }

  #describe(): CompiledJob {
    return compileJob(caseJob(this.oracleCase, new Map(), this.#ends()), { parameters: [], parallelism: this.options.parallelism ?? 1 })
  }

  #ends(): PipelineEnds {
    return {
      source: (env, input) =>
        env
          .fromSource(kinesisSource({ stream: input, deserialize: (data) => JSON.parse(new TextDecoder().decode(data)) as Step }), asTheStepsSay)
          .uid(input)
          .setParallelism(1)
          .filter(({ el }) => el !== undefined)
          .setParallelism(1)
          .map(({ el }) => ({ k: el?.k ?? '', v: numberOf(el?.v ?? 0), t: el?.t ?? '' }))
          .setParallelism(1),
      sink: (results, output) => results.sinkTo(this.#noting(output)),
    }
  }

  #noting(output: string): Sink<unknown, never> {
    this.#outputs[output] ??= []
    const items = this.#outputs[output]
    return {
      name: 'noting',
      createWriter: () => {
        throw new Error('a stage writes through the transactor')
      },
      createTransactor: () => ({
        apply: async ({ writer, version }, records) => {
          // A cold instance sends again what it cannot know to have arrived.
          if ((this.#written.get(writer) ?? 0) >= version) return
          this.#written.set(writer, version)
          for (const { value, timestamp } of records) {
            items.push({ step: this.#step, ts: timestamp === null ? null : jsonNumber(timestamp), value: jsonValue(value) })
          }
        },
        fence: async () => {},
      }),
    }
  }
}
