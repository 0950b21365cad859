import {
  type AggregateFunction,
  type Collector,
  type Counter,
  defineJob,
  dynamoDbSink,
  ndjsonFormat,
  OutputTag,
  type ProcessContext,
  type ProcessFunction,
  type RuntimeContext,
  s3Sink,
  type TimeWindow,
  TumblingEventTimeWindows,
  WatermarkStrategy,
  type WindowContext,
} from 'millrace'
import { type NumberedLine, numberedLinesIn } from '../lines-in.js'
import { resultsOut, resultsTo, resultsToStderr } from '../results-out.js'
import type { Access, MalformedLine } from './access.js'
import { parseAccess } from './parse-access.js'
import { WholeSecondWatermarks } from './whole-second-watermarks.js'

const WINDOW_MS = 5_000
const OUT_OF_ORDERNESS_MS = 1_000

const MALFORMED: OutputTag<MalformedLine> = new OutputTag('malformed')
const LATE: OutputTag<Access> = new OutputTag('late')

/** Requests of one client in one window; `start` (inclusive) and `end` (exclusive) in epoch milliseconds. */
export interface IpCount {
  readonly ip: string
  readonly start: number
  readonly end: number
  readonly count: number
}

/**
 * Requests per client IP in event-time windows of 5 s, with 1 s of out-of-orderness. Malformed lines and late accesses go to side
 * outputs. The metrics' counters `lines`, `malformed`, `late`, `counted` and `windows` say what became of the lines.
 */
export default defineJob('ip-count', (env) => {
  const byTime = WatermarkStrategy.forGenerator(() => new WholeSecondWatermarks(OUT_OF_ORDERNESS_MS))
  // One subtask up to the watermark: only in the log's own order is it defined which lines are late.
  const accesses = numberedLinesIn(env, import.meta.url, 'access.log')
    .process(new Parse())
    .uid('parse')
    .name('parse')
    .setParallelism(1)
  const counts = accesses
    .assignTimestampsAndWatermarks(byTime.withTimestampAssigner((a) => a.timestampMs))
    .uid('watermarks')
    .setParallelism(1)
    .keyBy((a) => a.ip)
    .window(TumblingEventTimeWindows.of(WINDOW_MS))
    .sideOutputLateData(LATE)
    .aggregate(COUNT, {
      process(ip: string, { window }: WindowContext<TimeWindow>, counts: Iterable<number>, out: Collector<IpCount>) {
        for (const count of counts) out.collect({ ip, start: window.start, end: window.end, count })
      },
    })
    .uid('count')
    .name('count')

  const windows = counts.process(new Tally('windows', 'counted', (c) => c.count)).uid('tally')
  if (env.parameters.has('table')) {
    // A window has one count, so its item is written once: a second one of another count could only be of another run.
    windows.sinkTo(dynamoDbSink({ table: env.parameters.getRequired('table'), key: ['ip', 'start'] })).uid('table')
  } else if (env.parameters.has('bucket')) {
    windows.sinkTo(s3Sink({ bucket: env.parameters.getRequired('bucket'), prefix: 'windows/', format: ndjsonFormat() })).uid('bucket')
  } else {
    resultsOut(windows, env, ndjsonFormat())
  }
  const malformed = accesses.getSideOutput(MALFORMED)
  if (env.parameters.has('malformed')) resultsTo(malformed, env.parameters.getRequired('malformed'), ndjsonFormat())
  else resultsToStderr(malformed.map((m) => `malformed line ${m.lineNumber || '?'}: ${m.reason}: ${m.line}`))
  const late = counts.getSideOutput(LATE).process(new Tally('late')).uid('late')
  if (env.parameters.has('late')) resultsTo(late, env.parameters.getRequired('late'), ndjsonFormat())
})

const COUNT: AggregateFunction<Access, number, number> = {
  createAccumulator: () => 0,
  add: (_access, count) => count + 1,
  getResult: (count) => count,
  merge: (a, b) => a + b,
}

class Parse implements ProcessFunction<NumberedLine, Access> {
  #lines!: Counter
  #malformed!: Counter

  open(context: RuntimeContext): void {
    this.#lines = context.metrics.counter('lines')
    this.#malformed = context.metrics.counter('malformed')
  }

  processElement({ line, lineNumber }: NumberedLine, ctx: ProcessContext, out: Collector<Access>): void {
    this.#lines.inc()
    const parsed = parseAccess(line)
    if (parsed.ok) {
      out.collect(parsed.access)
    } else {
      this.#malformed.inc()
      ctx.output(MALFORMED, { line, lineNumber, reason: parsed.reason })
    }
  }
}

/** Passes elements on and counts them under `name`; adds up `weight` of each under `weightName`. */
class Tally<T> implements ProcessFunction<T, T> {
  #count!: Counter
  #weight: Counter | undefined

  constructor(
    readonly name: string,
    readonly weightName?: string,
    readonly weight: (value: T) => number = () => 1,
  ) {}

  open(context: RuntimeContext): void {
    this.#count = context.metrics.counter(this.name)
    if (this.weightName !== undefined) this.#weight = context.metrics.counter(this.weightName)
  }

  processElement(value: T, _ctx: ProcessContext, out: Collector<T>): void {
    this.#count.inc()
    this.#weight?.inc(this.weight(value))
    out.collect(value)
  }
}
