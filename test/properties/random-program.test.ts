import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  collectionSource,
  type DataStream,
  defineJob,
  MAX_WATERMARK,
  run,
  type StreamExecutionEnvironment,
  WatermarkStrategy,
} from '../../runtime/index.js'
import { JobDriver, testSource } from '../../runtime/testing/index.js'
import { type Event, events, FIRST_STAGES, type Item, type Program, programs } from './program.js'
import { describeProgram } from './program-job.js'
import { type Output, ProgramReference } from './program-reference.js'

/** Longer than any session gap, so that no session ends before an element that would still touch it. */
const WATERMARK_LAG_MS = 20

describe('a random program does what the reference does, step by step', () => {
  const wiring = fc.record({ parallelism: fc.constantFrom(1, 2), chaining: fc.boolean(), batching: fc.boolean() })

  it.each(Object.entries(FIRST_STAGES))('with %s', async (_name, first) => {
    await fc.assert(
      fc.asyncProperty(programs(first), events, wiring, async (program, script, options) => {
        const outputs: Output[] = []
        const onOutput: NonNullable<Parameters<typeof JobDriver.start>[1]>['onOutput'] = (sink, item) => {
          if (item.kind === 'record') outputs.push({ sink, value: item.value as Item, timestamp: item.timestamp as number })
        }
        const driver = await JobDriver.start(
          defineJob('random', (env) => describeProgram(env, program, scripted)),
          { ...options, onOutput },
        )
        const reference = new ProgramReference(program)
        for (const [step, event] of [...ofInputs(program, script), ...lastWatermarks(program)].entries()) {
          const input = driver.input<Item>(`in-${event.input}`)
          if (event.kind === 'element') {
            input.element(event.item, event.timestamp)
            reference.element(event.input, event.item, event.timestamp)
          } else {
            input.watermark(event.watermark)
            reference.watermark(event.input, event.watermark)
          }
          driver.flush()
          expect(told(event, outputs.splice(0), options.parallelism), `step ${step}: ${JSON.stringify(event)}`).toEqual(
            told(event, reference.take(), options.parallelism),
          )
        }
        await driver.close()
      }),
      { numRuns: 600 },
    )
  })
})

describe('a random program without late data gives the same results in a real run', () => {
  const { 'state and timers': _whenTimersFireMatters, ...independent } = FIRST_STAGES

  it.each(Object.entries(independent))('with %s', async (_name, first) => {
    await fc.assert(
      fc.asyncProperty(programs(first).map(forRealRun), events, async (program, script) => {
        const elements = ofInputs(program, script).flatMap((event) => (event.kind === 'element' ? [event] : []))
        const reference = new ProgramReference(program)
        for (const { input, item, timestamp } of elements) reference.element(input, item, timestamp)
        for (const { input, watermark } of lastWatermarks(program)) reference.watermark(input, watermark)
        const expected = reference.take().map(({ sink, value }) => line(sink, value))
        for (const parallelism of [1, 2]) {
          const job = defineJob('random', (env) =>
            describeProgram(
              env,
              program,
              (_env, input) =>
                collected(
                  env,
                  elements.filter((event) => event.input === input),
                ),
              { keepsOrder: inOrder(program) },
            ),
          )
          const { collected: results } = await (await run(job, { threads: 0, parallelism, bufferTimeoutMs: 1 })).result()
          const lines = Object.entries(results).flatMap(([sink, values]) => values.map((value) => line(sink, value as Item)))
          expect(lines.sort(), `parallelism ${parallelism}`).toEqual([...expected].sort())
        }
      }),
      { numRuns: 100 },
    )
  })
})

function scripted(env: StreamExecutionEnvironment, input: number): DataStream<Item> {
  const name = `in-${input}`
  return env.fromSource(testSource<Item>(), WatermarkStrategy.noWatermarks<Item>(), name).uid(name).setParallelism(1)
}

function ofInputs({ union }: Program, script: readonly Event[]): readonly Event[] {
  return union ? script : script.filter(({ input }) => input === 0)
}

function lastWatermarks({ union }: Program) {
  return (union ? [0, 1] : [0]).map((input) => ({ kind: 'watermark' as const, input, watermark: MAX_WATERMARK }))
}

/** What fires at one watermark fires in order of time, but has no order among keys. Parallel subtasks are in no order, and neither are two sinks. */
function told(event: Event, outputs: readonly Output[], parallelism: number) {
  const lines = outputs.map(({ sink, value, timestamp }) => line(sink, value, timestamp))
  if (parallelism > 1) return { lines: lines.sort(), times: [] }
  const times = outputs.flatMap(({ sink, timestamp }) => (sink === 'out' ? [timestamp] : []))
  if (event.kind === 'watermark') return { lines: lines.sort(), times }
  const bySink = (sink: string) => lines.filter((each) => each.startsWith(sink))
  return { lines: [...bySink('out'), ...bySink('late-1'), ...bySink('late-2')], times }
}

function line(sink: string, { k, v, id }: Item, timestamp?: number): string {
  return `${sink} ${k} ${v} ${id}${timestamp === undefined ? '' : ` at ${timestamp}`}`
}

/** Whether what comes out depends on the order of elements: rolling results, and which elements a count window gets. */
function inOrder({ first }: Program): boolean {
  return first.op === 'rolling' || (first.op === 'window' && first.windows.shape === 'count')
}

/** The order of two sources, and that of subtasks, is nobody's: where it matters there is one source, elsewhere functions must not tell. */
function forRealRun(program: Program): Program {
  if (inOrder(program)) return { ...program, union: false }
  return program.first.op === 'window' ? { ...program, first: { ...program.first, anyOrder: true } } : program
}

/** A source whose watermark follows every element as closely as it may without making a later one late. */
function collected(env: StreamExecutionEnvironment, elements: readonly (Event & { readonly kind: 'element' })[]): DataStream<Item> {
  const watermarks = new Map(
    elements.map(({ item }, i) => [item.id, Math.min(...elements.slice(i + 1).map(({ timestamp }) => timestamp)) - WATERMARK_LAG_MS]),
  )
  const source = collectionSource(
    elements.map(({ item }) => item),
    { timestamps: (_item, i) => elements[i].timestamp },
  )
  const strategy = WatermarkStrategy.forGenerator<Item>(() => ({
    onEvent: ({ id }, _timestamp, output) => {
      const watermark = watermarks.get(id) as number
      if (watermark !== MAX_WATERMARK) output.emitWatermark(watermark)
    },
    onPeriodicEmit: () => {},
  }))
  return env.fromSource(source, strategy, 'elements').setParallelism(1)
}
