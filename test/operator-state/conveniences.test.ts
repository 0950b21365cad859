import { describe, expect, expectTypeOf, it } from 'vitest'
import { compileJob, type DataStream, defineJob, explain } from '../../runtime/api/index.js'
import {
  AverageAccumulator,
  HistogramAccumulator,
  ListAccumulator,
  MaximumAccumulator,
  MinimumAccumulator,
  mergeAccumulators,
  type ProcessFunction,
  type RuntimeContext,
  WatermarkStrategy,
} from '../../runtime/core/index.js'
import { slotCount, slotOf } from '../../runtime/plan/index.js'
import { JobDriver } from '../../runtime/testing/index.js'
import { expectFailure, outOf, runJob, sorted } from '../local/run-job.js'

describe('accumulators', () => {
  it('of all subtasks come together in the result', async () => {
    const { accumulators } = await runJob(
      (env) => {
        const gather = {
          open(context: RuntimeContext) {
            Object.assign(this, {
              add: [
                context.getCounter('count'),
                context.addAccumulator('min', new MinimumAccumulator()),
                context.addAccumulator('max', new MaximumAccumulator()),
                context.addAccumulator('mean', new AverageAccumulator()),
                context.addAccumulator('histogram', new HistogramAccumulator()),
                context.addAccumulator('all', new ListAccumulator<number>()),
              ],
            })
          },
          map(n: number): number {
            for (const accumulator of (this as unknown as { add: { add(n: number): void }[] }).add) accumulator.add(n % 4)
            return n
          },
        }
        env
          .fromSequence(1, 100)
          .map(gather)
          .map({ ...gather, map: (n: number) => n, open: (context) => context.getCounter('count').add(1_000) })
          .collect('out')
      },
      { parallelism: 3 },
    )
    expect(accumulators).toEqual({
      count: 150 + 3_000,
      min: 0,
      max: 3,
      mean: 1.5,
      histogram: new Map([0, 1, 2, 3].map((n) => [n, 25])),
      all: expect.arrayContaining([0, 1, 2, 3]),
    })
    expect(accumulators.all).toHaveLength(100)
  })

  it('refuse one name for two kinds', async () => {
    expect(() => mergeAccumulators([{ a: { kind: 'count', value: 1 } }, { a: { kind: 'minimum', value: 1 } }])).toThrowError(/OPTION_INVALID.*"a"/)
    const twice = runJob((env) => {
      const open = (context: RuntimeContext) => {
        context.addAccumulator('a', new MinimumAccumulator())
        context.getCounter('a')
      }
      env
        .fromElements(1)
        .map({ map: (n: number) => n, open })
        .collect('out')
    })
    await expectFailure(twice, 'OPTION_INVALID', '"a"')
  })
})

describe('project', () => {
  it('takes positions of a tuple', async () => {
    expect(
      await outOf((env) => {
        const tuples = env.fromCollection<[number, string, boolean]>([
          [1, 'a', true],
          [2, 'b', false],
        ])
        const projected = tuples.project(2, 0)
        expectTypeOf(projected).toEqualTypeOf<DataStream<[boolean, number]>>()
        projected.collect('out')
      }),
    ).toEqual([
      [true, 1],
      [false, 2],
    ])
  })
})

describe('fromSequence', () => {
  it.each([1, 2, 3])('gives each number once at parallelism %i', async (parallelism) => {
    const out = await outOf((env) => void env.fromSequence(-3, 5).collect('out'), { parallelism })
    expect(sorted(out)).toEqual(sorted([-3, -2, -1, 0, 1, 2, 3, 4, 5]))
  })
  it('refuses bounds the wrong way round', async () => {
    await expectFailure(
      outOf((env) => void env.fromSequence(2, 1).collect('out')),
      'OPTION_INVALID',
      'from 2 to 1',
    )
  })
})

describe('slot-sharing groups', () => {
  const job = defineJob('groups', (env) => {
    const left = env
      .fromSequence(1, 20)
      .uid('source')
      .map((n) => n)
      .uid('m1')
    left
      .map((n) => n * 2)
      .uid('m2')
      .slotSharingGroup('heavy')
      .map((n) => n + 1)
      .uid('m3')
      .collect('out')
      .uid('out')
  })

  it('break chains, are inherited, and have slots of their own', () => {
    const { graph } = compileJob(job, { parallelism: 2 })
    expect(graph.vertices.map(({ id, slotSharingGroup, operators }) => [id, slotSharingGroup, operators.length])).toEqual([
      ['source', 'default', 2],
      ['m2', 'heavy', 3],
    ])
    expect(slotCount(graph)).toBe(4)
    expect(graph.vertices.map((vertex) => slotOf(graph, vertex, 1))).toEqual([1, 3])
    expect(explain(job)).toContain('slot sharing group "heavy"')
  })

  it('run in one thread too', async () => {
    const { collected } = await runJob(job.define, { parallelism: 2 })
    expect(sorted(collected.out)).toEqual(sorted(Array.from({ length: 20 }, (_, i) => (i + 1) * 2 + 1)))
  })
})

describe('ingestion time', () => {
  it('is the clock of the subtask', async () => {
    const seen: ProcessFunction<string, [string, number | null]> = { processElement: (value, ctx, out) => out.collect([value, ctx.timestamp]) }
    const job = defineJob('ingestion', (env) => {
      const strategy = WatermarkStrategy.forIngestionTime<string>()
      env.fromElements<string>().uid('in').assignTimestampsAndWatermarks(strategy).process(seen).collect('out').uid('out')
    })
    const driver = await JobDriver.start(job, { processingTime: 1_000 })
    driver.input<string>('in').element('a', 5)
    driver.advanceProcessingTime(1_200)
    driver.input<string>('in').element('b')
    expect(
      driver.output('out').map((item) => (item.kind === 'record' ? item.value : item.kind === 'watermark' ? item.watermark : item.kind)),
    ).toEqual([['a', 1_000], 1_199, ['b', 1_200]])
  })
})
