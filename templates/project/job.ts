import {
  type Collector,
  type DataStream,
  defineJob,
  dynamoDbSink,
  fileSource,
  kinesisSource,
  ndjson,
  type TimeWindow,
  TumblingEventTimeWindows,
  WatermarkStrategy,
  type WindowContext,
} from 'millrace'

/** A page was looked at. */
export interface View {
  readonly page: string
  readonly visitor: string
  /** Epoch ms. */
  readonly time: number
}

/** How often a page was looked at from `start` to `end` (epoch ms, exclusive). */
export interface PageViews {
  readonly page: string
  readonly start: number
  readonly end: number
  readonly views: number
}

const WINDOW_MS = 60_000
/** So much later than a younger one a view may come. */
const OUT_OF_ORDERNESS_MS = 5_000

/** With `--input FILE` it reads a file of JSON lines and prints; deployed it reads the stream `views` and writes the table `counts`. */
export default defineJob('my-job', (env) => {
  const input = env.parameters.get('input')
  if (input === undefined) {
    const views = env.fromSource(kinesisSource({ stream: 'views', deserialize: viewOf }), WatermarkStrategy.noWatermarks<View>()).uid('views')
    countViews(views)
      .sinkTo(dynamoDbSink({ table: 'counts', key: ['page', 'start'] }))
      .uid('counts')
  } else {
    const views = env.fromSource(fileSource({ path: input, format: ndjson<View>() }), WatermarkStrategy.noWatermarks<View>()).uid('file')
    countViews(views).print()
  }
})

/** The views of each page in each minute. */
export function countViews(views: DataStream<View>): DataStream<PageViews> {
  return views
    .assignTimestampsAndWatermarks(WatermarkStrategy.forBoundedOutOfOrderness<View>(OUT_OF_ORDERNESS_MS).withTimestampAssigner((view) => view.time))
    .keyBy((view) => view.page)
    .window(TumblingEventTimeWindows.of(WINDOW_MS))
    .aggregate(
      { createAccumulator: () => 0, add: (_view: View, views: number) => views + 1, getResult: (views: number) => views },
      {
        process(page: string, { window }: WindowContext<TimeWindow>, counts: Iterable<number>, out: Collector<PageViews>) {
          for (const views of counts) out.collect({ page, start: window.start, end: window.end, views })
        },
      },
    )
    .uid('count')
}

/** What it throws for a record that is no view fails the batch, which then comes again. */
function viewOf(data: Uint8Array): View {
  return JSON.parse(new TextDecoder().decode(data)) as View
}
