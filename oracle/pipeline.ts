import {
  type DataStream,
  type DataStreamSink,
  defineJob,
  type Job,
  type OutputTag,
  type StreamExecutionEnvironment,
  WatermarkStrategy,
} from '../runtime/index.js'
import { testSource } from '../runtime/testing/index.js'
import { type AnyStream, type Ev, evTag, jsonTag } from './element.js'
import type { PendingCalls } from './functions/async-function.js'
import type { OracleCase, Stage } from './oracle-case.js'
import { asyncStage } from './stages/async-stage.js'
import { SINGLE_INPUT_STAGES } from './stages/single-input-stages.js'
import { TWO_INPUT_STAGES } from './stages/two-input-stages.js'
import { unknownName } from './unknown-name.js'

/** The uid of the sink `main`; that of a side output is `stage.tag`. */
export const MAIN_SINK = 'main'

/** Where a case's elements come from and its results go; `input` is the case's name for an input, `output` for an output. */
export interface PipelineEnds {
  source(env: StreamExecutionEnvironment, input: string): DataStream<Ev>
  sink(results: AnyStream, output: string): DataStreamSink
}

/** For `JobDriver`, which puts its own in their places. */
const DRIVEN: PipelineEnds = {
  source: (env, input) => env.fromSource(testSource<Ev>(), WatermarkStrategy.noWatermarks<Ev>(), input).uid(input).setParallelism(1),
  sink: (results, output) => results.collect(output),
}

/** The case's pipeline as a job, described with the public API. Inputs and outputs keep one order: they have one subtask. */
export function caseJob(oracleCase: OracleCase, calls: PendingCalls, ends: PipelineEnds = DRIVEN): Job {
  return defineJob(oracleCase.name, (env) => describe(env, oracleCase, calls, ends))
}

/** Which output of the case a sink is. */
export function outputOfSink(uid: string): string {
  return uid === MAIN_SINK ? 'main' : uid.slice(uid.lastIndexOf('.') + 1)
}

function describe(env: StreamExecutionEnvironment, { inputs, pipeline, output }: OracleCase, calls: PendingCalls, ends: PipelineEnds): void {
  const streams = new Map<string, AnyStream>()
  for (const name of inputs) streams.set(name, ends.source(env, name))
  let previous = inputs[0]
  for (const [index, stage] of pipeline.entries()) {
    const id = stage.id ?? `stage${index}`
    const result = buildStage(
      stage,
      (stage.inputs ?? [previous]).map((name) => streamNamed(streams, name)),
      calls,
    )
    streams.set(id, result)
    for (const name of stage.sideOutputs ?? []) {
      const side: AnyStream = result.getSideOutput<unknown>(sideTag(stage, name) as OutputTag<unknown>)
      streams.set(`${id}.${name}`, side)
      ends.sink(side, name).uid(`${id}.${name}`).setParallelism(1)
    }
    previous = id
  }
  ends
    .sink(streamNamed(streams, output ?? previous), 'main')
    .uid(MAIN_SINK)
    .setParallelism(1)
}

function streamNamed(streams: ReadonlyMap<string, AnyStream>, name: string): AnyStream {
  const stream = streams.get(name)
  if (stream === undefined) throw unknownName('stream', name)
  return stream
}

function sideTag({ op }: Stage, name: string) {
  return op === 'processFn' || name === 'late' || name.startsWith('late-') ? evTag(name) : jsonTag(name)
}

/** Cases join only stages whose elements fit. */
function buildStage(stage: Stage, inputs: readonly AnyStream[], calls: PendingCalls): AnyStream {
  const [first, ...others] = inputs as readonly DataStream<Ev>[]
  if (stage.op === 'union') return first.union(...others)
  if (stage.op === 'async') return asyncStage(stage, first, calls)
  const single = SINGLE_INPUT_STAGES[stage.op]
  if (single !== undefined) return single(stage, first)
  const two = TWO_INPUT_STAGES[stage.op]
  if (two === undefined) throw unknownName('op', stage.op)
  return two(stage, first, others[0])
}
