import { jsonNumber, jsonValue, numberOf } from '../../oracle/json-number.js'
import type { CaseResult, OracleCase, ResultItem, Step } from '../../oracle/oracle-case.js'
import { caseJob, type PipelineEnds } from '../../oracle/pipeline.js'
import { CommandLineParameters, compileJob } from '../../runtime/api/index.js'
import { kinesisSource, MAX_WATERMARK, NO_TIMESTAMP, type Sink, WatermarkStrategy } from '../../runtime/index.js'
import type { CompiledJob, JobGraph } from '../../runtime/plan/index.js'
import type { StagePorts } from '../../runtime/task/stage-ports.js'
import { StageSubtask } from '../../runtime/task/stage-subtask.js'
import { MemoryStreams, memoryPorts } from './memory-ports.js'

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
  readonly #streams = new MemoryStreams()
  readonly #ports: StagePorts
  readonly #graph: JobGraph
  /** Warm instances, by stage and subtask. */
  #instances = new Map<string, StageSubtask>()
  /** How many records of each shard have been taken. */
  readonly #taken = new Map<string, number>()
  #now = 0
  #step = -1

  constructor(
    readonly oracleCase: OracleCase,
    readonly options: StageRunOptions,
  ) {
    this.#ports = memoryPorts(this.#streams, () => this.#now)
    this.#graph = this.#describe().graph
  }

  async run(): Promise<CaseResult> {
    for (const [index, step] of this.oracleCase.steps.entries()) {
      this.#step = index
      if (this.options.cold === true || step.restore === true) this.#instances = new Map()
      if (step.procTime !== undefined) this.#now = numberOf(step.procTime)
      else if (step.restore === undefined) this.#put(step)
      await this.#comeToRest()
      if (this.options.cuts === true) await this.#cut(index + 1)
    }
    return { outputs: this.#outputs }
  }

  #put(step: Step): void {
    const timestamp = step.ts === undefined || step.ts === null ? NO_TIMESTAMP : numberOf(step.ts)
    this.#streams.append(step.in ?? this.oracleCase.inputs[0], 0, new TextEncoder().encode(JSON.stringify(step)), timestamp)
  }

  async #comeToRest(): Promise<void> {
    for (let busy = true; busy; ) {
      busy = false
      for (const { id, parallelism } of this.#graph.vertices) {
        for (let subtask = 0; subtask < parallelism; subtask++) if (await this.#takeBatch(id, subtask)) busy = true
      }
    }
  }

  async #takeBatch(stage: string, subtask: number): Promise<boolean> {
    const name = `${stage}/${subtask}`
    const records = this.#streams.shard(stage, subtask).slice(this.#taken.get(name) ?? 0)
    if (records.length === 0) return false
    await this.#instance(stage, subtask).batch(records, name)
    this.#taken.set(name, (this.#taken.get(name) ?? 0) + records.length)
    return true
  }

  async #cut(checkpointId: number): Promise<void> {
    for (const input of this.oracleCase.inputs) await this.#instance(input, 0).barrier(checkpointId)
    await this.#comeToRest()
  }

  #instance(stage: string, subtask: number): StageSubtask {
    const name = `${stage}/${subtask}`
    let instance = this.#instances.get(name)
    if (instance === undefined) {
      instance = new StageSubtask({
        deployment: { job: this.oracleCase.name, revision: '1', plan: PLAN },
        describe: () => this.#describe(),
        stage,
        subtask,
        attempt: 0,
        parameters: CommandLineParameters.from([]),
        ports: this.#ports,
        longestTail: 3, // so that the longer cases begin new bases
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
      createWriter: () => ({
        write: (value, { timestamp }) =>
          void items.push({ step: this.#step, ts: timestamp === null ? null : jsonNumber(timestamp), value: jsonValue(value) }),
        prepareCommit: () => [],
        close: () => {},
      }),
    }
  }
}
