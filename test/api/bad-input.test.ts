import { describe, expect, test } from 'vitest'
import { defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { EventTimeSessionWindows, TumblingEventTimeWindows } from '../../runtime/api/windowing/index.js'
import { collectionSource, generatorSource } from '../../runtime/connectors/index.js'
import { type Collector, valueState, WatermarkStrategy } from '../../runtime/core/index.js'
import { type RunOptions, run } from '../../runtime/local/index.js'
import { expectFailure, runJob } from '../local/run-job.js'

type Define = (env: StreamExecutionEnvironment) => void

const fails = (define: Define, options: RunOptions = {}) => runJob(define, options)
const boom = (): never => {
  throw new Error('boom')
}

describe.each([1, 3])('keys, at parallelism %i', (parallelism) => {
  const keyed =
    (key: (n: number) => unknown): Define =>
    (env) =>
      env
        .fromElements(1, 2)
        .keyBy(key)
        .reduce((a) => a)
        .uid('sum')
        .name('Sum')
        .collect('out')

  test('a key selector that throws', async () => {
    await expectFailure(
      fails(keyed(boom), { parallelism }),
      'USER_FUNCTION',
      'key selector of keyBy threw',
      'boom',
      'the key of operator "Sum" (uid sum)',
    )
  })

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['NaN', Number.NaN],
    ['function', () => 1],
    ['an instance of Map', new Map()],
    ['an object that holds undefined', { a: undefined }],
  ])('a key that is %s', async (what, key) => {
    const error = await expectFailure(
      fails(
        keyed(() => key),
        { parallelism },
      ),
      'KEY_INVALID',
      `returned ${what}`,
      'the key of operator "Sum" (uid sum)',
    )
    expect(error.uid).toBe('sum')
  })

  test('a field that records do not have', async () => {
    const define: Define = (env) =>
      env
        .fromElements({ a: 1 } as { a: number; b?: string })
        .keyBy('b')
        .reduce((a) => a)
        .uid('sum')
        .name('Sum')
        .collect('out')
    await expectFailure(fails(define, { parallelism }), 'KEY_INVALID', 'undefined', 'uid sum')
  })
})

describe('timestamps', () => {
  const stamped =
    (timestamp: () => unknown): Define =>
    (env) => {
      env
        .fromElements(1)
        .assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps<number>().withTimestampAssigner(timestamp as () => number))
        .uid('time')
        .name('Time')
        .collect('out')
    }

  test.each([
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['undefined', undefined],
    ['string 2024-01-01', '2024-01-01'],
    ['object', new Date(0)],
    ['bigint', 5n],
  ])('an assigner that returns %s', async (what, timestamp) => {
    await expectFailure(fails(stamped(() => timestamp)), 'TIMESTAMP_INVALID', what, 'operator "Time" (uid time)')
  })

  test('an assigner at the source', async () => {
    const strategy = WatermarkStrategy.forMonotonousTimestamps<number>().withTimestampAssigner(() => Number.NaN)
    await expectFailure(
      fails((env) =>
        env
          .fromSource(collectionSource([1]), strategy, 'numbers')
          .uid('src')
          .collect('out'),
      ),
      'TIMESTAMP_INVALID',
      'NaN',
      'operator "numbers" (uid src)',
    )
  })

  test('an assigner that throws', async () => {
    await expectFailure(fails(stamped(boom)), 'USER_FUNCTION', 'the timestamp assigner threw', 'boom', 'operator "Time" (uid time)')
  })

  test.each([
    ['tumbling', TumblingEventTimeWindows.of(10)],
    ['session', EventTimeSessionWindows.withGap(10)],
  ])('a %s event-time window without timestamps', async (_name, assigner) => {
    const define: Define = (env) =>
      env
        .fromElements(1)
        .keyBy((n) => n)
        .window(assigner)
        .reduce((a) => a)
        .uid('win')
        .name('Win')
        .collect('out')
    await expectFailure(fails(define), 'TIMESTAMP_MISSING', 'no timestamp', 'operator "Win" (uid win)', 'assignTimestampsAndWatermarks')
  })
})

describe('functions that throw are named with their operator', () => {
  const timed = (env: StreamExecutionEnvironment) =>
    env.fromSource(collectionSource([1, 2], { timestamps: (n) => n }), WatermarkStrategy.forMonotonousTimestamps<number>())
  const cases: readonly (readonly [string, Define])[] = [
    ['the map function', (env) => env.fromElements(1).map(boom).uid('x').name('X').collect('out')],
    ['the filter function', (env) => env.fromElements(1).filter(boom).uid('x').name('X').collect('out')],
    ['the flatMap function', (env) => env.fromElements(1).flatMap(boom).uid('x').name('X').collect('out')],
    ['processElement', (env) => env.fromElements(1).process({ processElement: boom }).uid('x').name('X').collect('out')],
    [
      'processElement',
      (env) =>
        env
          .fromElements(1)
          .keyBy((n) => n)
          .process({ processElement: boom })
          .uid('x')
          .name('X')
          .collect('out'),
    ],
    [
      'the reduce function',
      (env) =>
        env
          .fromElements(1, 1)
          .keyBy((n) => n)
          .reduce(boom)
          .uid('x')
          .name('X')
          .collect('out'),
    ],
    [
      'the window function',
      (env) =>
        timed(env)
          .keyBy((n) => n)
          .window(TumblingEventTimeWindows.of(10))
          .process({ process: boom })
          .uid('x')
          .name('X')
          .collect('out'),
    ],
    [
      'the window aggregation',
      (env) =>
        timed(env)
          .keyBy(() => 1)
          .window(TumblingEventTimeWindows.of(10))
          .reduce(boom)
          .uid('x')
          .name('X')
          .collect('out'),
    ],
    [
      'onTimer',
      (env) =>
        timed(env)
          .keyBy((n) => n)
          .process({ processElement: (n, ctx) => ctx.timerService.registerEventTimeTimer(n), onTimer: boom })
          .uid('x')
          .name('X')
          .collect('out'),
    ],
    [
      'sink "mine"',
      (env) =>
        env
          .fromElements(1)
          .sinkTo({ name: 'mine', createWriter: () => ({ write: boom, prepareCommit: () => [], close: () => {} }) })
          .uid('x')
          .name('X'),
    ],
    ['opening the sink "mine"', (env) => env.fromElements(1).sinkTo({ name: 'mine', createWriter: boom }).uid('x').name('X')],
    [
      'open()',
      (env) =>
        env
          .fromElements(1)
          .map({ open: boom, map: (n: number) => n })
          .uid('x')
          .name('X')
          .collect('out'),
    ],
  ]
  test.each(cases)('%s', async (what, define) => {
    for (const parallelism of [1, 2]) {
      const error = await expectFailure(fails(define, { parallelism }), 'USER_FUNCTION', `${what} threw`, 'boom', 'operator "X" (uid x)')
      expect(error.uid).toBe('x')
      expect(error.cause).toMatchObject({ message: 'boom' })
    }
  })

  test('a generator of elements', async () => {
    const define: Define = (env) =>
      env
        .fromSource(generatorSource({ count: 1, generate: boom }), WatermarkStrategy.noWatermarks(), 'gen')
        .uid('x')
        .collect('out')
    await expectFailure(fails(define), 'USER_FUNCTION', 'boom', 'operator "gen" (uid x)')
  })

  test('the error of an operator further down is that operator’s, not that of a flatMap before it', async () => {
    const define: Define = (env) => {
      env
        .fromElements(1)
        .flatMap((n, out: Collector<number>) => {
          out.collect(n)
          return []
        })
        .map(boom)
        .uid('x')
        .name('X')
        .collect('out')
    }
    await expectFailure(fails(define), 'USER_FUNCTION', 'the map function threw', 'uid x')
  })

  test('a custom partitioner that throws, or returns what is no subtask', async () => {
    const define =
      (partition: () => number): Define =>
      (env) => {
        env
          .fromElements(1)
          .partitionCustom(partition, (n) => n)
          .map((n) => n)
          .uid('x')
          .name('X')
          .setParallelism(2)
          .collect('out')
      }
    await expectFailure(fails(define(boom)), 'USER_FUNCTION', 'custom partitioner threw', 'boom', 'before operator "X" (uid x)')
    for (const target of [2, -1, 0.5, Number.NaN]) {
      await expectFailure(fails(define(() => target)), 'PLAN_INVALID', `returned ${target} for 2 subtasks`, 'before operator "X" (uid x)')
    }
  })
})

describe('state', () => {
  test('one name for two kinds', async () => {
    const define: Define = (env) => {
      env
        .fromElements(1)
        .keyBy((n) => n)
        .process({
          state: { a: valueState<number>({ name: 'same' }) },
          open: (context) => void context.getListState({ kind: 'list', name: 'same', options: {} } as never),
          processElement: () => {},
        })
        .uid('x')
        .collect('out')
    }
    await expectFailure(fails(define), 'STATE_DESCRIPTOR', 'state "same"', 'uid x')
  })

  test('on a stream without keys', async () => {
    const define: Define = (env) => {
      env
        .fromElements(1)
        .map({ open: (context) => void context.getState({ kind: 'value', name: 's', options: {} } as never), map: (n: number) => n })
        .uid('x')
        .name('X')
        .collect('out')
    }
    await expectFailure(fails(define), 'STATE_DESCRIPTOR', 'state "s"', '"X"', 'keyBy()')
  })
})

describe('options of run', () => {
  const job = defineJob('test', (env) => env.fromElements(1).collect('out'))

  test.each([
    ['parallelism', 0],
    ['parallelism', 1.5],
    ['parallelism', '2'],
    ['maxParallelism', 40_000],
    ['threads', -1],
    ['checkpointIntervalMs', -5],
    ['checkpointTimeoutMs', 0],
    ['maxConcurrentCheckpoints', 0],
    ['retainedCheckpoints', 0],
    ['tolerableFailedCheckpoints', -1],
    ['autoWatermarkIntervalMs', Number.NaN],
    ['bufferTimeoutMs', Number.POSITIVE_INFINITY],
    ['checkpointMode', 'sometimes'],
    ['checkpointDir', ''],
    ['checkpointDir', 5],
    ['restoreFrom', ''],
    ['restartStrategy', { kind: 'forever' }],
    ['restartStrategy', { kind: 'fixed-delay', attempts: 2 }],
    ['restartStrategy', { kind: 'fixed-delay', attempts: 2, delayMs: -1 }],
    ['restartStrategy', { kind: 'failure-rate', failures: 2, intervalMs: Number.NaN, delayMs: 1 }],
    ['restartStrategy', { kind: 'exponential-delay', initialDelayMs: 1, maxDelayMs: 10, multiplier: 0.5, resetAfterMs: 1 }],
    ['restartStrategy', 'none'],
  ])('%s: %j', async (option, value) => {
    await expectFailure(run(job, { [option]: value } as RunOptions), 'OPTION_INVALID', option)
  })

  test('a job parameter without a name, or that is missing', async () => {
    await expectFailure(run(job, { parameters: ['x'] }), 'OPTION_INVALID', '"x"')
    await expectFailure(
      run(defineJob('test', (env) => env.fromElements(env.parameters.getRequired('input')).collect('out'))),
      'OPTION_INVALID',
      '--input',
    )
    await expectFailure(
      run(
        defineJob('test', (env) => env.fromElements(env.parameters.getNumber('n', 1)).collect('out')),
        { parameters: { n: 'many' } },
      ),
      'OPTION_INVALID',
      '--n',
      'many',
    )
  })

  test('what is no job', async () => {
    await expectFailure(run({} as never), 'JOB_NO_DEFAULT_EXPORT')
    expect(() => defineJob('', () => {})).toThrow(/OPTION_INVALID/)
  })
})
