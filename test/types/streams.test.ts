import { describe, expectTypeOf, test } from 'vitest'
import type { AllWindowedStream, DataStream, KeyedStream, StreamExecutionEnvironment, WindowedStream } from '../../runtime/api/index.js'
import {
  EventTimeSessionWindows,
  type GlobalWindow,
  SlidingEventTimeWindows,
  type TimeWindow,
  TumblingEventTimeWindows,
} from '../../runtime/api/windowing/index.js'
import { generatorSource, printSink } from '../../runtime/connectors/index.js'
import {
  type Collector,
  listState,
  mapState,
  OutputTag,
  RichMapFunction,
  type RuntimeContext,
  type ValueState,
  ValueStateDescriptor,
  valueState,
  WatermarkStrategy,
} from '../../runtime/core/index.js'

interface Access {
  readonly ip: string
  readonly timeMs: number
  readonly bytes: number
}

/** Described, never run: what counts is what the compiler makes of it (`npm run check`). */
function described(check: (accesses: DataStream<Access>, env: StreamExecutionEnvironment) => void): () => void {
  return () => void check
}

const counting = { createAccumulator: () => 0, add: (_access: Access, n: number) => n + 1, getResult: (n: number) => n }
const merging = { ...counting, merge: (a: number, b: number) => a + b }

describe('types flow without annotations', () => {
  test(
    'from the source through map, filter and flatMap',
    described((_accesses, env) => {
      const numbers = env.fromSource(generatorSource({ count: 1, generate: (i) => ({ i }) }), WatermarkStrategy.noWatermarks())
      expectTypeOf(numbers).toEqualTypeOf<DataStream<{ i: number }>>()
      expectTypeOf(env.fromElements('a', 'b')).toEqualTypeOf<DataStream<string>>()
      expectTypeOf(numbers.map(({ i }) => `${i}`)).toEqualTypeOf<DataStream<string>>()
      expectTypeOf(numbers.map(({ i }) => i).filter((i) => i > 0)).toEqualTypeOf<DataStream<number>>()
      expectTypeOf(numbers.flatMap(({ i }) => [i, i])).toEqualTypeOf<DataStream<number>>()
      expectTypeOf(
        numbers.flatMap(function* ({ i }) {
          yield `${i}`
        }),
      ).toEqualTypeOf<DataStream<string>>()
      expectTypeOf(numbers.flatMap(({ i }, out: Collector<string>) => out.collect(`${i}`))).toEqualTypeOf<DataStream<string>>()
      const maybe = env.fromElements<string | number>('a', 1)
      expectTypeOf(maybe.filter((value): value is string => typeof value === 'string')).toEqualTypeOf<DataStream<string>>()
    }),
  )

  test(
    'into watermark strategies',
    described((accesses, env) => {
      accesses.assignTimestampsAndWatermarks(
        WatermarkStrategy.forBoundedOutOfOrderness(1_000)
          .withIdleness(60_000)
          .withTimestampAssigner((access) => {
            expectTypeOf(access).toEqualTypeOf<Access>()
            return access.timeMs
          }),
      )
      const silent = { onEvent: (_event: unknown) => {}, onPeriodicEmit: () => {} }
      accesses.assignTimestampsAndWatermarks(WatermarkStrategy.forGenerator(() => silent).withTimestampAssigner((access) => access.timeMs))
      accesses.assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner(({ timeMs }) => timeMs))
      accesses.assignTimestampsAndWatermarks(WatermarkStrategy.forIngestionTime())
      const byTime = WatermarkStrategy.forMonotonousTimestamps()
        .withTimestampAssigner((access: Access) => access.timeMs)
        .withIdleness(1)
      expectTypeOf(byTime).toEqualTypeOf<WatermarkStrategy<Access>>()
      accesses.assignTimestampsAndWatermarks(byTime)
      const source = generatorSource({ count: 1, generate: (i) => ({ i }) })
      expectTypeOf(env.fromSource(source, WatermarkStrategy.noWatermarks())).toEqualTypeOf<DataStream<{ i: number }>>()
      expectTypeOf(
        env.fromSource(
          source,
          WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner(({ i }) => i),
        ),
      ).toEqualTypeOf<DataStream<{ i: number }>>()
    }),
  )

  test(
    'into state and side outputs that say what they hold',
    described((accesses) => {
      expectTypeOf(valueState({ defaultValue: '' })).toEqualTypeOf(valueState<string>())
      const late: OutputTag<Access> = new OutputTag('late')
      const counts = accesses.keyBy('ip').window(TumblingEventTimeWindows.of(1)).sideOutputLateData(late).aggregate(counting)
      expectTypeOf(counts.getSideOutput(late)).toEqualTypeOf<DataStream<Access>>()
      accesses.keyBy('ip').map(
        new (class extends RichMapFunction<Access, number> {
          #last!: ValueState<number>
          override open(context: RuntimeContext): void {
            this.#last = context.getState(new ValueStateDescriptor('last'))
            // @ts-expect-error the descriptor is for texts
            this.#last = context.getState(new ValueStateDescriptor('last', { defaultValue: '' }))
          }
          map = () => this.#last.value() ?? 0
        })(),
      )
    }),
  )

  test(
    'out of functions that are declared elsewhere',
    described((_accesses, env) => {
      const wordsOf = (line: string): { word: string; n: number }[] => [{ word: line, n: 1 }]
      const timedWordsOf = (line: string): { word: string; n: number }[] => wordsOf(line)
      const lines = env.fromElements('a b')
      expectTypeOf(lines.flatMap(wordsOf)).toEqualTypeOf<DataStream<{ word: string; n: number }>>()
      expectTypeOf(lines.flatMap(lines === undefined ? wordsOf : timedWordsOf)).toEqualTypeOf<DataStream<{ word: string; n: number }>>()
      lines.sinkTo(printSink({ stderr: true }))
    }),
  )

  test(
    'into keys: by function, field, position, tuple',
    described((accesses, env) => {
      expectTypeOf(accesses.keyBy((access) => access.ip)).toEqualTypeOf<KeyedStream<Access, string>>()
      expectTypeOf(accesses.keyBy('bytes')).toEqualTypeOf<KeyedStream<Access, number>>()
      expectTypeOf(accesses.keyBy(({ ip, bytes }) => [ip, bytes])).toEqualTypeOf<KeyedStream<Access, readonly [string, number]>>()
      expectTypeOf(env.fromElements<[string, number]>(['a', 1]).keyBy(0)).toEqualTypeOf<KeyedStream<[string, number], string>>()
    }),
  )

  test(
    'into windows, and out of their functions',
    described((accesses) => {
      const windows = accesses.keyBy('ip').window(TumblingEventTimeWindows.of(1_000))
      expectTypeOf(windows).toEqualTypeOf<WindowedStream<Access, string, TimeWindow, false>>()
      expectTypeOf(accesses.keyBy('ip').window(EventTimeSessionWindows.withGap(1))).toEqualTypeOf<WindowedStream<Access, string, TimeWindow, true>>()
      expectTypeOf(accesses.windowAll(SlidingEventTimeWindows.of(2, 1))).toEqualTypeOf<AllWindowedStream<Access, TimeWindow, false>>()
      expectTypeOf(accesses.keyBy('ip').countWindow(5)).toEqualTypeOf<WindowedStream<Access, string, GlobalWindow, false>>()
      expectTypeOf(windows.reduce((a, b) => (a.bytes > b.bytes ? a : b))).toEqualTypeOf<DataStream<Access>>()
      expectTypeOf(windows.aggregate(counting)).toEqualTypeOf<DataStream<number>>()
      expectTypeOf(
        windows.aggregate({ createAccumulator: () => ({ n: 0 }), add: ({ bytes }, { n }) => ({ n: n + bytes }), getResult: ({ n }) => `${n}` }),
      ).toEqualTypeOf<DataStream<string>>()
      expectTypeOf(
        windows.aggregate(counting, {
          process(ip, { window }, [count], out: Collector<{ ip: string; end: number; count: number }>) {
            expectTypeOf(ip).toEqualTypeOf<string>()
            expectTypeOf(window).toEqualTypeOf<TimeWindow>()
            expectTypeOf(count).toEqualTypeOf<number>()
            out.collect({ ip, end: window.end, count })
          },
        }),
      ).toEqualTypeOf<DataStream<{ ip: string; end: number; count: number }>>()
      expectTypeOf(windows.process({ process: (_ip, _ctx, all, out: Collector<number>) => out.collect([...all][0].bytes) })).toEqualTypeOf<
        DataStream<number>
      >()
    }),
  )

  test(
    'into state and timers',
    described((accesses) => {
      const counts = accesses.keyBy('ip').process({
        state: { n: valueState<number>(), list: listState<string>(), map: mapState<string, Date>() },
        processElement(access, ctx, out: Collector<string>) {
          expectTypeOf(access).toEqualTypeOf<Access>()
          expectTypeOf(ctx.currentKey).toEqualTypeOf<string>()
          expectTypeOf(ctx.state.n).toEqualTypeOf<ValueState<number>>()
          expectTypeOf(ctx.state.list.get()).toEqualTypeOf<Iterable<string>>()
          expectTypeOf(ctx.state.map.get('x')).toEqualTypeOf<Date | undefined>()
          out.collect(ctx.currentKey)
        },
        onTimer(time, ctx, out) {
          expectTypeOf(time).toEqualTypeOf<number>()
          expectTypeOf(out).toEqualTypeOf<Collector<string>>()
          expectTypeOf(ctx.state.n.value()).toEqualTypeOf<number | null>()
        },
      })
      expectTypeOf(counts).toEqualTypeOf<DataStream<string>>()
    }),
  )

  test(
    'out of side outputs',
    described((accesses) => {
      const late = new OutputTag<Access>('late')
      expectTypeOf(
        accesses.keyBy('ip').window(TumblingEventTimeWindows.of(1)).sideOutputLateData(late).sum('bytes').getSideOutput(late),
      ).toEqualTypeOf<DataStream<Access>>()
    }),
  )
})

describe('what must not compile', () => {
  test(
    'keys',
    described((accesses, env) => {
      // @ts-expect-error no such field
      accesses.keyBy('host')
      // @ts-expect-error no such position
      env.fromElements<[string, number]>(['a', 1]).keyBy(2)
      // @ts-expect-error windows need keys
      accesses.window(TumblingEventTimeWindows.of(1))
      // @ts-expect-error reduce needs keys
      accesses.reduce((a: Access) => a)
    }),
  )

  test(
    'aggregations',
    described((accesses) => {
      const keyed = accesses.keyBy('ip')
      // @ts-expect-error sessions merge: the aggregate function needs merge
      keyed.window(EventTimeSessionWindows.withGap(1)).aggregate(counting)
      keyed.window(EventTimeSessionWindows.withGap(1)).aggregate(merging)
      // @ts-expect-error the same without keys
      accesses.windowAll(EventTimeSessionWindows.withGap(1)).aggregate(counting)
      // @ts-expect-error a sum of texts
      keyed.sum('ip')
      // @ts-expect-error a sum of texts in a window
      keyed.window(TumblingEventTimeWindows.of(1)).sum('ip')
      // @ts-expect-error reduce gives what it gets
      keyed.reduce((a, b) => a.bytes + b.bytes)
    }),
  )

  test(
    'side outputs and states of the wrong type',
    described((accesses) => {
      const texts = new OutputTag<string>('texts')
      // @ts-expect-error late elements are accesses
      accesses.keyBy('ip').window(TumblingEventTimeWindows.of(1)).sideOutputLateData(texts)
      accesses.process({
        processElement(access, ctx, _out: Collector<never>) {
          // @ts-expect-error the tag is for texts
          ctx.output(texts, access.bytes)
        },
      })
      accesses.keyBy('ip').process({
        state: { n: valueState<number>() },
        processElement(access, ctx, out: Collector<number>) {
          // @ts-expect-error the state holds numbers
          ctx.state.n.update(access.ip)
          // @ts-expect-error no such state
          ctx.state.m.value()
          // @ts-expect-error the collector takes numbers
          out.collect(access.ip)
        },
      })
    }),
  )

  test(
    'timestamps and sinks of another type',
    described((accesses) => {
      // @ts-expect-error a timestamp is a number
      WatermarkStrategy.noWatermarks<Access>().withTimestampAssigner((access) => access.ip)
      // @ts-expect-error the strategy is for other records
      accesses.assignTimestampsAndWatermarks(WatermarkStrategy.noWatermarks<{ t: number }>().withTimestampAssigner(({ t }) => t))
      // @ts-expect-error the assigner is for other records
      accesses.assignTimestampsAndWatermarks(WatermarkStrategy.noWatermarks().withTimestampAssigner((record: { t: number }) => record.t))
      // @ts-expect-error a timestamp is a number, also where the record type comes from the stream
      accesses.assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner((access) => access.ip))
      // @ts-expect-error no such field
      accesses.assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner((access) => access.at))
      const texts = { onEvent: (_text: string) => {}, onPeriodicEmit: () => {} }
      // @ts-expect-error the generator is for other records
      accesses.assignTimestampsAndWatermarks(WatermarkStrategy.forGenerator(() => texts))
      // @ts-expect-error the sink takes numbers
      accesses.sinkTo({ name: 'numbers', createWriter: () => ({ write: (_n: number) => {}, prepareCommit: () => [], close: () => {} }) })
    }),
  )
})
