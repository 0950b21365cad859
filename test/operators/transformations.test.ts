import { describe, expect, test } from 'vitest'
import { collectionSource } from '../../runtime/connectors/index.js'
import {
  aggregatingState,
  type Collector,
  listState,
  mapState,
  OutputTag,
  RichMapFunction,
  type RuntimeContext,
  reducingState,
  type ValueState,
  ValueStateDescriptor,
  valueState,
  WatermarkStrategy,
} from '../../runtime/core/index.js'
import { outOf, runJob, sorted } from '../local/run-job.js'

/** Counts elements of a key. */
class Counting extends RichMapFunction<string, string> {
  #count!: ValueState<number>
  override open(context: RuntimeContext): void {
    this.#count = context.getState(new ValueStateDescriptor<number>('count', { defaultValue: 0 }))
  }
  map(word: string): string {
    this.#count.update((this.#count.value() ?? 0) + 1)
    return `${word} ${this.#count.value()}`
  }
}

const words = ['to', 'be', 'or', 'not', 'to', 'be']
const timed = <T extends { readonly t: number }>(items: readonly T[]) => collectionSource(items, { timestamps: (item) => item.t })

describe('stateless transformations', () => {
  test('map, filter and flatMap in all their forms', async () => {
    const out = await outOf((env) => {
      env
        .fromElements(1, 2, 3, 4)
        .map((n) => n * 10)
        .filter((n) => n !== 20)
        .flatMap((n) => [n, n + 1])
        // biome-ignore lint/suspicious/useIterableCallbackReturn: the collector takes the results
        .flatMap((n, out: Collector<string>) => void (n > 10 && out.collect(`<${n}>`)))
        .flatMap({ flatMap: (s: string, out: Collector<string>) => out.collect(s) })
        .flatMap(function* (s) {
          yield s
        })
        .filter({ filter: (s) => s !== '<31>' })
        .collect('out')
    })
    expect(out).toEqual(['<11>', '<30>', '<40>', '<41>'])
  })

  test('union keeps everything, also a stream that is given twice', async () => {
    const out = await outOf((env) => {
      const a = env.fromElements(1, 2)
      a.union(env.fromElements(3), a)
        .map((n) => n)
        .collect('out')
    })
    expect(sorted(out)).toEqual([1, 1, 2, 2, 3])
  })

  test('one stream into several', async () => {
    const { collected, metrics } = await runJob((env) => {
      const numbers = env.fromElements(1, 2, 3)
      numbers.map((n) => n * 2).collect('doubles')
      numbers.filter((n) => n > 1).collect('large')
    })
    expect(collected).toEqual({ doubles: [2, 4, 6], large: [2, 3] })
    expect(metrics.operators.find(({ name }) => name === 'collection')).toMatchObject({ recordsIn: 3, recordsOut: 3 })
  })

  test('side outputs, also of a tag that nobody reads', async () => {
    const odd = new OutputTag<number>('odd')
    const nobody = new OutputTag<number>('nobody')
    const { collected } = await runJob((env) => {
      const even = env.fromElements(1, 2, 3, 4).process({
        processElement(n, ctx, out: Collector<string>) {
          if (n % 2 === 0) out.collect(`even ${n}`)
          else ctx.output(odd, n)
          ctx.output(nobody, n)
        },
      })
      even.collect('even')
      even
        .getSideOutput(odd)
        .map((n) => -n)
        .collect('odd')
    })
    expect(collected).toEqual({ even: ['even 2', 'even 4'], odd: [-1, -3] })
  })

  test('rich functions learn where they run', async () => {
    class Tag extends RichMapFunction<number, string> {
      #place = ''
      override open(context: RuntimeContext): void {
        super.open(context)
        context.metrics.counter('seen')
        this.#place = `${context.jobName}/${context.operatorName}/${context.uid}/${context.parallelism}/${context.parameters.get('who', 'nobody')}`
      }
      map(n: number): string {
        this.getRuntimeContext().metrics.counter('seen').inc()
        return `${this.#place}: ${n}`
      }
    }
    const { collected, metrics } = await runJob((env) => env.fromElements(1, 2).map(new Tag()).name('Tagging').uid('tag').collect('out'), {
      parameters: { who: 'me' },
    })
    expect(collected.out).toEqual(['test/Tagging/tag/1/me: 1', 'test/Tagging/tag/1/me: 2'])
    expect(metrics.operators.find(({ uid }) => uid === 'tag')?.counters).toEqual({ seen: 2 })
  })

  test('print writes to standard output, with its prefix', async () => {
    const written: string[] = []
    const { write } = process.stdout
    process.stdout.write = ((text: string | Uint8Array, ...more: unknown[]) => {
      written.push(String(text))
      const done = more.find((argument) => typeof argument === 'function') as (() => void) | undefined
      done?.()
      return true
    }) as typeof process.stdout.write
    try {
      await runJob((env) => env.fromElements('a', 'b').print('words'))
    } finally {
      process.stdout.write = write
    }
    expect(written.join('')).toBe('words> a\nwords> b\n')
  })
})

describe('keyed streams', () => {
  const sales = [
    { shop: 'a', item: 'x', price: 5 },
    { shop: 'b', item: 'y', price: 7 },
    { shop: 'a', item: 'z', price: 5 },
    { shop: 'a', item: 'w', price: 3 },
    { shop: 'b', item: 'v', price: 9 },
  ]

  test('keys by function, field, position and structure', async () => {
    const counted = async (parallelism: number) => {
      const { collected } = await runJob(
        (env) => {
          const one = <T>(value: T): [T, number] => [value, 1]
          const count = (a: [unknown, number], b: [unknown, number]): [unknown, number] => [a[0], a[1] + b[1]]
          env
            .fromElements(...words)
            .map(one)
            .keyBy((pair) => pair[0])
            .reduce(count)
            .collect('function')
          env
            .fromElements(...words)
            .map(one)
            .keyBy(0)
            .reduce(count)
            .collect('position')
          env
            .fromElements(...sales)
            .keyBy('shop')
            .sum('price')
            .collect('field')
          env
            .fromElements(...sales)
            .keyBy((s) => ({ shop: s.shop, cheap: s.price < 6 }))
            .sum('price')
            .collect('object')
          env
            .fromElements(...sales)
            .keyBy((s) => [s.shop, s.price] as const)
            .sum('price')
            .collect('tuple')
        },
        { parallelism },
      )
      return Object.fromEntries(Object.entries(collected).map(([name, values]) => [name, sorted(values)]))
    }
    const one = await counted(1)
    expect(one.function).toEqual([
      ['be', 1],
      ['be', 2],
      ['not', 1],
      ['or', 1],
      ['to', 1],
      ['to', 2],
    ])
    expect(one.position).toEqual(one.function)
    expect(one.field.map((s) => (s as { price: number }).price).sort((a, b) => a - b)).toEqual([5, 7, 10, 13, 16])
    expect(one.object.map((s) => (s as { price: number }).price).sort((a, b) => a - b)).toEqual([5, 7, 10, 13, 16])
    expect(one.tuple.map((s) => (s as { price: number }).price).sort((a, b) => a - b)).toEqual([3, 5, 7, 9, 10])
    for (const parallelism of [2, 3, 4]) expect(await counted(parallelism)).toEqual(one)
  })

  test('min and max keep the other fields of the first element, minBy and maxBy the whole element', async () => {
    const { collected } = await runJob((env) => {
      const a = env.fromElements(...sales.filter((s) => s.shop === 'a')).keyBy('shop')
      a.min('price')
        .map((s) => `${s.item}${s.price}`)
        .collect('min')
      a.max('price')
        .map((s) => `${s.item}${s.price}`)
        .collect('max')
      a.minBy('price')
        .map((s) => `${s.item}${s.price}`)
        .collect('minBy')
      a.minBy('price', false)
        .map((s) => `${s.item}${s.price}`)
        .collect('minByLast')
      a.maxBy('price')
        .map((s) => `${s.item}${s.price}`)
        .collect('maxBy')
      a.maxBy('price', false)
        .map((s) => `${s.item}${s.price}`)
        .collect('maxByLast')
    })
    expect(collected).toEqual({
      min: ['x5', 'x5', 'x3'],
      max: ['x5', 'x5', 'x5'],
      minBy: ['x5', 'x5', 'w3'],
      minByLast: ['x5', 'z5', 'w3'],
      maxBy: ['x5', 'x5', 'x5'],
      maxByLast: ['x5', 'z5', 'z5'],
    })
  })

  test('state of every kind belongs to its key', async () => {
    const out = await outOf(
      (env) => {
        env
          .fromElements(...sales)
          .keyBy('shop')
          .process({
            state: {
              last: valueState<string>(),
              prices: listState<number>(),
              byItem: mapState<string, number>(),
              total: reducingState<number>((a, b) => a + b),
              mean: aggregatingState({
                createAccumulator: () => ({ n: 0, sum: 0 }),
                add: (price: number, { n, sum }) => ({ n: n + 1, sum: sum + price }),
                getResult: ({ n, sum }) => sum / n,
              }),
            },
            processElement(sale, { state, currentKey }, out: Collector<unknown>) {
              const before = state.last.value()
              state.last.update(sale.item)
              state.prices.add(sale.price)
              state.byItem.put(sale.item, sale.price)
              state.total.add(sale.price)
              state.mean.add(sale.price)
              out.collect([currentKey, before, [...state.prices.get()], [...state.byItem.keys()], state.total.get(), state.mean.get()])
            },
          })
          .collect('out')
      },
      { parallelism: 3 },
    )
    expect(sorted(out)).toEqual(
      sorted([
        ['a', null, [5], ['x'], 5, 5],
        ['a', 'x', [5, 5], ['x', 'z'], 10, 5],
        ['a', 'z', [5, 5, 3], ['x', 'z', 'w'], 13, 13 / 3],
        ['b', null, [7], ['y'], 7, 7],
        ['b', 'y', [7, 9], ['y', 'v'], 16, 8],
      ]),
    )
  })

  test('state through the runtime context', async () => {
    const out = await outOf((env) => {
      env
        .fromElements(...words)
        .keyBy((word) => word)
        .map(new Counting())
        .collect('out')
    })
    expect(out).toEqual(['to 1', 'be 1', 'or 1', 'not 1', 'to 2', 'be 2'])
  })
})

describe('timers', () => {
  test('event-time timers fire in order, once for a key and time, with what they may use', async () => {
    const late = new OutputTag<string>('fired')
    const { collected } = await runJob((env) => {
      const timers = env
        .fromSource(
          timed([
            { k: 'a', t: 10 },
            { k: 'b', t: 5 },
            { k: 'a', t: 12 },
          ]),
          WatermarkStrategy.forBoundedOutOfOrderness(0),
        )
        .keyBy('k')
        .process({
          processElement({ t }, { timerService }) {
            timerService.registerEventTimeTimer(t + 100)
            timerService.registerEventTimeTimer(1_000)
            timerService.registerEventTimeTimer(2_000)
            timerService.deleteEventTimeTimer(2_000)
          },
          onTimer(time, ctx, out: Collector<unknown>) {
            out.collect([ctx.currentKey, time, ctx.timestamp, ctx.timeDomain])
            ctx.output(late, ctx.currentKey)
          },
        })
      timers.collect('main')
      timers.getSideOutput(late).collect('side')
    })
    expect(collected.main.slice(0, 3)).toEqual([
      ['b', 105, 105, 'event-time'],
      ['a', 110, 110, 'event-time'],
      ['a', 112, 112, 'event-time'],
    ])
    expect(sorted(collected.main.slice(3))).toEqual([
      ['a', 1_000, 1_000, 'event-time'],
      ['b', 1_000, 1_000, 'event-time'],
    ])
    expect(collected.side).toHaveLength(5)
  })

  test('processing-time timers fire by the clock', async () => {
    const startedAt = Date.now()
    const out = await outOf((env) => {
      env
        .fromSource(
          {
            ...collectionSource<number>([1]),
            // One element, and an end that waits for the timer.
            createReader: (context) => {
              const reader = collectionSource<number>([1]).createReader(context)
              return {
                start: () => reader.start(),
                pollNext: (output) => {
                  const status = reader.pollNext(output)
                  return status === 'end' && Date.now() < startedAt + 200 ? 'waiting' : status
                },
                available: () => Promise.race([reader.available(), new Promise<void>((resolve) => setTimeout(resolve, 10))]).then(() => undefined),
                addSplits: (splits) => reader.addSplits(splits),
                notifyNoMoreSplits: () => reader.notifyNoMoreSplits(),
                snapshotState: () => reader.snapshotState(),
                close: () => reader.close(),
              }
            },
          },
          WatermarkStrategy.noWatermarks(),
        )
        .keyBy((n) => n)
        .process({
          processElement(_n, { timerService }) {
            timerService.registerProcessingTimeTimer(timerService.currentProcessingTime() + 50)
          },
          onTimer(time, ctx, out: Collector<unknown>) {
            out.collect([ctx.timeDomain, ctx.timestamp === time, ctx.timerService.currentProcessingTime() >= time])
          },
        })
        .collect('out')
    })
    expect(out).toEqual([['processing-time', true, true]])
  })

  test('a stream without keys has none', async () => {
    await expect(
      outOf((env) => {
        env
          .fromElements(1)
          .process({ processElement: (_n, ctx) => ctx.timerService.registerEventTimeTimer(1) })
          .collect('out')
      }),
    ).rejects.toThrow(/call keyBy\(\) before process/)
  })
})
