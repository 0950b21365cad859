import fc from 'fast-check'

/** What flows through a random program; `id` tells elements with equal `k` and `v` apart. */
export interface Item {
  readonly k: string
  readonly v: number
  readonly id: number
}

export type Stateless =
  | { readonly op: 'map'; readonly add: number }
  | { readonly op: 'filter'; readonly mod: number }
  | { readonly op: 'flatMap'; readonly mod: number }

export type Windows =
  | { readonly shape: 'aligned'; readonly sizeMs: number; readonly slideMs: number; readonly offsetMs: number }
  | { readonly shape: 'session'; readonly gapMs: number }
  | { readonly shape: 'count'; readonly size: number; readonly slide: number | undefined }

export interface WindowStage {
  readonly op: 'window'
  /** windowAll in place of keyBy and window. */
  readonly all: boolean
  readonly windows: Windows
  readonly fn: 'reduce' | 'aggregate' | 'process'
  /** Elements may come in any order: the function must not tell. */
  readonly anyOrder: boolean
  readonly latenessMs: number
}

export type Stage =
  | WindowStage
  | { readonly op: 'rolling'; readonly fn: 'reduce' | 'sum' | 'maxBy' }
  | { readonly op: 'timers'; readonly delayMs: number }

export interface Program {
  /** Operators of the first input before the union. */
  readonly left: readonly Stateless[]
  readonly union: boolean
  readonly before: readonly Stateless[]
  readonly first: Stage
  readonly after: readonly Stateless[]
  readonly second: WindowStage | undefined
}

/** What happens to a program: an element, or the watermark of one input moves on. */
export type Event =
  | { readonly kind: 'element'; readonly input: number; readonly item: Item; readonly timestamp: number }
  | { readonly kind: 'watermark'; readonly input: number; readonly watermark: number }

const stateless = fc.array(
  fc.oneof(
    fc.record({ op: fc.constant('map' as const), add: fc.integer({ min: 0, max: 5 }) }),
    fc.record({ op: fc.constant('filter' as const), mod: fc.integer({ min: 2, max: 4 }) }),
    fc.record({ op: fc.constant('flatMap' as const), mod: fc.integer({ min: 2, max: 4 }) }),
  ),
  { maxLength: 2 },
)

const tumbling: fc.Arbitrary<Windows> = fc
  .tuple(fc.integer({ min: 1, max: 20 }), fc.nat())
  .map(([sizeMs, offset]) => ({ shape: 'aligned', sizeMs, slideMs: sizeMs, offsetMs: offset % sizeMs }))
const sliding: fc.Arbitrary<Windows> = fc
  .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), fc.nat())
  .map(([sizeMs, slideMs, offset]) => ({ shape: 'aligned', sizeMs, slideMs, offsetMs: offset % slideMs }))
const session: fc.Arbitrary<Windows> = fc.integer({ min: 1, max: 15 }).map((gapMs) => ({ shape: 'session', gapMs }))
const count = (all: boolean): fc.Arbitrary<Windows> =>
  fc.record({
    shape: fc.constant('count' as const),
    size: fc.integer({ min: 1, max: 4 }),
    slide: all ? fc.constant(undefined) : fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  })

function windowStage(windows: (all: boolean) => fc.Arbitrary<Windows>, lateness: fc.Arbitrary<number>): fc.Arbitrary<WindowStage> {
  return fc.boolean().chain((all) =>
    windows(all).chain((chosen) =>
      fc.record({
        op: fc.constant('window' as const),
        all: fc.constant(all),
        windows: fc.constant(chosen),
        fn: fc.constantFrom('reduce' as const, 'aggregate' as const, 'process' as const),
        anyOrder: fc.constant(chosen.shape === 'session'),
        latenessMs: lateness,
      }),
    ),
  )
}

const never = fc.constant(0)
const aligned = () => fc.oneof(tumbling, sliding)

/** First stages by what runs them. */
export const FIRST_STAGES: Readonly<Record<string, fc.Arbitrary<Stage>>> = {
  'plain windows': windowStage(aligned, never),
  'windows with allowed lateness': windowStage(aligned, fc.integer({ min: 1, max: 15 })),
  'session windows': windowStage(() => session, fc.oneof(never, fc.integer({ min: 1, max: 15 }))),
  'count windows': windowStage(count, never),
  'rolling aggregations': fc.record({
    op: fc.constant('rolling' as const),
    fn: fc.constantFrom('reduce' as const, 'sum' as const, 'maxBy' as const),
  }),
  'state and timers': fc.record({ op: fc.constant('timers' as const), delayMs: fc.integer({ min: 0, max: 15 }) }),
}

/** What reaches a second stage at one watermark has no order among keys, so that stage's function must not tell, nor may it fire in between. */
const secondStage = windowStage(aligned, never).map((stage) => ({ ...stage, anyOrder: true }))

export function programs(first: fc.Arbitrary<Stage>): fc.Arbitrary<Program> {
  return fc
    .record({
      left: stateless,
      union: fc.boolean(),
      before: stateless,
      first,
      after: stateless,
      second: fc.option(secondStage, { nil: undefined }),
    })
    .map((program) => {
      // Results of count windows have no finite timestamp, which other windows need.
      const counts = program.first.op === 'window' && program.first.windows.shape === 'count'
      return counts ? { ...program, second: undefined } : program
    })
}

const keyed = fc.record({ k: fc.constantFrom('a', 'b', 'c'), v: fc.integer({ min: 0, max: 20 }) })
const input = fc.constantFrom(0, 1)
const FIRST_WATERMARK = -15

/** Elements in any order, before and after the watermarks of two inputs, which only rise. */
export const events: fc.Arbitrary<readonly Event[]> = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.record({ input, element: keyed, timestamp: fc.integer({ min: -10, max: 60 }) }) },
      { weight: 1, arbitrary: fc.record({ input, advance: fc.integer({ min: 1, max: 15 }) }) },
    ),
    { minLength: 1, maxLength: 60, size: 'max' },
  )
  .map((script) => {
    const watermarks = [FIRST_WATERMARK, FIRST_WATERMARK]
    return script.map((step, id): Event => {
      if ('element' in step) return { kind: 'element', input: step.input, item: { ...step.element, id }, timestamp: step.timestamp }
      watermarks[step.input] += step.advance
      return { kind: 'watermark', input: step.input, watermark: watermarks[step.input] }
    })
  })
