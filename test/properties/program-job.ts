import {
  type AllWindowedStream,
  type Collector,
  type DataStream,
  EventTimeSessionWindows,
  GlobalWindow,
  OutputTag,
  SlidingEventTimeWindows,
  type StreamExecutionEnvironment,
  TimeWindow,
  TumblingEventTimeWindows,
  valueState,
  type Window,
  type WindowedStream,
} from '../../runtime/index.js'
import type { Item, Program, Stage, Stateless, WindowStage, Windows } from './program.js'
import { described, kept, mapped, multiplied, reduceInAnyOrder, reduceInOrder, takesTimerBack, totals } from './program-functions.js'

export interface DescribeOptions {
  /** Operators without state run in one subtask, so that elements keep their order. */
  readonly keepsOrder?: boolean
}

/** Describes a program with the public API; its sinks are `out`, `late-1` and `late-2`. */
export function describeProgram(
  env: StreamExecutionEnvironment,
  program: Program,
  source: (env: StreamExecutionEnvironment, input: number) => DataStream<Item>,
  { keepsOrder = false }: DescribeOptions = {},
): void {
  const stateless = (stream: DataStream<Item>, operators: readonly Stateless[]) =>
    operators.reduce((from, operator) => {
      const to = applied(from, operator)
      return keepsOrder ? to.setParallelism(1) : to
    }, stream)
  const left = stateless(source(env, 0), program.left)
  const before = stateless(program.union ? left.union(source(env, 1)) : left, program.before)
  const first = stageOf(before, program.first, 'late-1')
  const after = stateless(first, program.after)
  const end = program.second === undefined ? after : stageOf(after, program.second, 'late-2')
  end.collect('out').uid('out').setParallelism(1)
}

function applied(stream: DataStream<Item>, operator: Stateless): DataStream<Item> {
  if (operator.op === 'map') return stream.map((item) => mapped(item, operator.add))
  if (operator.op === 'filter') return stream.filter((item) => kept(item, operator.mod))
  return stream.flatMap((item) => multiplied(item, operator.mod))
}

function stageOf(stream: DataStream<Item>, stage: Stage, lateSink: string): DataStream<Item> {
  if (stage.op === 'timers') return timersOf(stream, stage.delayMs)
  if (stage.op === 'window') return windowed(stream, stage, lateSink)
  const keyed = stream.keyBy((item) => item.k)
  if (stage.fn === 'reduce') return keyed.reduce(reduceInOrder)
  return stage.fn === 'sum' ? keyed.sum('v') : keyed.maxBy('v')
}

function timersOf(stream: DataStream<Item>, delayMs: number): DataStream<Item> {
  return stream
    .keyBy((item) => item.k)
    .process({
      state: { count: valueState<number>() },
      processElement(item, ctx, out: Collector<Item>) {
        const count = (ctx.state.count.value() ?? 0) + 1
        ctx.state.count.update(count)
        const time = (ctx.timestamp as number) + delayMs
        if (takesTimerBack(item)) ctx.timerService.deleteEventTimeTimer(time)
        else ctx.timerService.registerEventTimeTimer(time)
        out.collect({ ...item, v: count })
      },
      onTimer(time, ctx, out) {
        const count = ctx.state.count.value() ?? 0
        out.collect({ k: ctx.currentKey, v: count, id: -1 })
        if (count > 1) {
          ctx.state.count.update(Math.floor(count / 2))
          ctx.timerService.registerEventTimeTimer(time + 3)
        } else ctx.state.count.clear()
      },
    })
}

function windowed(stream: DataStream<Item>, stage: WindowStage, lateSink: string): DataStream<Item> {
  const late = new OutputTag<Item>(lateSink)
  const { windows, latenessMs } = stage
  const results = stage.all
    ? computedAll(allWindows(stream, windows).allowedLateness(latenessMs).sideOutputLateData(late), stage)
    : computed(keyedWindows(stream, windows).allowedLateness(latenessMs).sideOutputLateData(late), stage)
  results.getSideOutput(late).collect(lateSink).uid(lateSink).setParallelism(1)
  return results
}

type Keyed = WindowedStream<Item, string, Window, true>
type All = AllWindowedStream<Item, Window, true>

/** Merging is not known to the type here; `totals` can always merge. */
function keyedWindows(stream: DataStream<Item>, windows: Windows): Keyed {
  const keyed = stream.keyBy((item) => item.k)
  if (windows.shape === 'session') return keyed.window(EventTimeSessionWindows.withGap(windows.gapMs)) as unknown as Keyed
  if (windows.shape === 'count') return keyed.countWindow(windows.size, windows.slide) as unknown as Keyed
  return keyed.window(alignedWindows(windows)) as unknown as Keyed
}

function allWindows(stream: DataStream<Item>, windows: Windows): All {
  if (windows.shape === 'session') return stream.windowAll(EventTimeSessionWindows.withGap(windows.gapMs)) as unknown as All
  if (windows.shape === 'count') return stream.countWindowAll(windows.size) as unknown as All
  return stream.windowAll(alignedWindows(windows)) as unknown as All
}

function alignedWindows({ sizeMs, slideMs, offsetMs }: Windows & { readonly shape: 'aligned' }) {
  return sizeMs === slideMs ? TumblingEventTimeWindows.of(sizeMs, offsetMs) : SlidingEventTimeWindows.of(sizeMs, slideMs, offsetMs)
}

function computed(windows: Keyed, { fn, anyOrder }: WindowStage): DataStream<Item> {
  if (fn === 'reduce') return windows.reduce(anyOrder ? reduceInAnyOrder : reduceInOrder)
  if (fn === 'aggregate') return windows.aggregate(totals)
  return windows.process({
    process: (key, { window }, elements, out: Collector<Item>) => out.collect(described(key, boundsOf(window), elements, anyOrder)),
  })
}

function computedAll(windows: All, { fn, anyOrder }: WindowStage): DataStream<Item> {
  if (fn === 'reduce') return windows.reduce(anyOrder ? reduceInAnyOrder : reduceInOrder)
  if (fn === 'aggregate') return windows.aggregate(totals)
  return windows.process({
    process: ({ window }, elements, out: Collector<Item>) => out.collect(described('', boundsOf(window), elements, anyOrder)),
  })
}

function boundsOf(window: Window): string {
  if (window instanceof TimeWindow) return `${window.start}..${window.end}`
  return window === GlobalWindow.INSTANCE ? 'global' : 'unknown'
}
