import { describe, expect, test } from 'vitest'
import type { DataStream, StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { generatorSource } from '../../runtime/connectors/index.js'
import { RichMapFunction, WatermarkStrategy } from '../../runtime/core/index.js'
import { createPartitioner, decodeBatch, encodeBatch, RecordBatch, rescaleTargets } from '../../runtime/exchange/index.js'
import { runJob } from '../local/run-job.js'

/** [where it was read, where it arrived, element] */
type Trace = readonly [number, number, number]

class From extends RichMapFunction<number, [number, number]> {
  map(i: number): [number, number] {
    return [this.getRuntimeContext().subtaskIndex, i]
  }
}

class To extends RichMapFunction<[number, number], Trace> {
  map([from, i]: [number, number]): Trace {
    return [from, this.getRuntimeContext().subtaskIndex, i]
  }
}

const COUNT = 1_200

async function traces(partition: (stream: DataStream<[number, number]>) => DataStream<[number, number]>, from: number, to: number): Promise<Trace[]> {
  const define = (env: StreamExecutionEnvironment) => {
    const numbers = env.fromSource(generatorSource({ count: COUNT, generate: (i) => i }), WatermarkStrategy.noWatermarks()).setParallelism(from)
    partition(numbers.map(new From()).setParallelism(from)).map(new To()).setParallelism(to).collect('out').setParallelism(to)
  }
  return (await runJob(define)).collected.out as Trace[]
}

/** How many elements went from each subtask to each. */
function counts(all: readonly Trace[]): Record<string, number> {
  const result: Record<string, number> = {}
  for (const [from, to] of all) result[`${from}>${to}`] = (result[`${from}>${to}`] ?? 0) + 1
  return result
}

describe('where elements go', () => {
  test('rebalance: evenly to all', async () => {
    expect(counts(await traces((s) => s.rebalance(), 2, 3))).toEqual({ '0>0': 200, '0>1': 200, '0>2': 200, '1>0': 200, '1>1': 200, '1>2': 200 })
  })
  test('rescale: each sender to its own share', async () => {
    expect(counts(await traces((s) => s.rescale(), 2, 4))).toEqual({ '0>0': 300, '0>1': 300, '1>2': 300, '1>3': 300 })
    expect(counts(await traces((s) => s.rescale(), 4, 2))).toEqual({ '0>0': 300, '1>0': 300, '2>1': 300, '3>1': 300 })
  })
  test('shuffle: about evenly, at random', async () => {
    const all = counts(await traces((s) => s.shuffle(), 1, 3))
    for (const n of Object.values(all)) expect(n).toBeGreaterThan(300)
    expect(Object.values(all).reduce((a, b) => a + b)).toBe(COUNT)
  })
  test('broadcast: everything to all', async () => {
    expect(counts(await traces((s) => s.broadcast(), 2, 3))).toEqual({ '0>0': 600, '0>1': 600, '0>2': 600, '1>0': 600, '1>1': 600, '1>2': 600 })
  })
  test('global: everything to the first', async () => {
    expect(counts(await traces((s) => s.global(), 2, 3))).toEqual({ '0>0': 600, '1>0': 600 })
  })
  test('forward: to the same subtask', async () => {
    expect(counts(await traces((s) => s.forward(), 3, 3))).toEqual({ '0>0': 400, '1>1': 400, '2>2': 400 })
  })
  test('custom: where the function says', async () => {
    const all = await traces(
      (s) =>
        s.partitionCustom(
          (key: number, subtasks) => key % subtasks,
          ([, i]) => i,
        ),
      2,
      3,
    )
    expect(all).toHaveLength(COUNT)
    for (const [, to, i] of all) expect(to).toBe(i % 3)
  })
  test('keyBy: equal keys to one subtask', async () => {
    const all = await traces((s) => s.keyBy(([, i]) => i % 17), 2, 4)
    const subtasks = new Map<number, Set<number>>()
    for (const [, to, i] of all) subtasks.set(i % 17, (subtasks.get(i % 17) ?? new Set()).add(to))
    expect([...subtasks.values()].every((set) => set.size === 1)).toBe(true)
    expect(new Set([...subtasks.values()].flatMap((set) => [...set])).size).toBe(4)
  })
  test('what nobody says: forward, or rebalance to another parallelism', async () => {
    expect(Object.keys(counts(await traces((s) => s, 2, 2)))).toEqual(['0>0', '1>1'])
    expect(Object.keys(counts(await traces((s) => s, 2, 4)))).toHaveLength(8)
  })
})

describe('rescaleTargets', () => {
  test('covers every receiver, evenly where it can', () => {
    for (let senders = 1; senders <= 7; senders++) {
      for (let receivers = 1; receivers <= 7; receivers++) {
        const all = Array.from({ length: senders }, (_, subtask) => rescaleTargets({ subtask, parallelism: senders, receivers })).flat()
        expect(new Set(all).size).toBe(receivers)
        expect(Math.max(...all)).toBeLessThan(receivers)
      }
    }
  })
})

describe('batches between threads', () => {
  test('come back as they were', () => {
    const values = [
      1,
      'x',
      null,
      undefined,
      { a: [1, { b: new Date(5) }] },
      new Map([[1, new Set(['y'])]]),
      10n ** 30n,
      Number.NaN,
      new Uint8Array([1, 2]),
    ]
    const timestamps = values.map((_, i) => (i === 0 ? Number.NEGATIVE_INFINITY : i))
    const decoded = decodeBatch(encodeBatch(RecordBatch.of(values, timestamps)))
    expect(decoded.values.slice(0, 8)).toEqual(values.slice(0, 8))
    expect([...(decoded.values[8] as Uint8Array)]).toEqual([1, 2])
    expect([...decoded.timestamps]).toEqual(timestamps)
  })

  test('of one shape come back as they were, whatever their fields hold', () => {
    const batches: unknown[][] = [
      [
        { a: 1, b: 'x' },
        { a: -0, b: '' },
        { a: Number.NaN, b: 'ä\u0000😀' },
      ],
      [
        { a: 1, b: 'x' },
        { b: 'y', a: 2 },
      ],
      [{ a: 1 }, { a: 1, b: 2 }, {}],
      [{ a: 1 }, { a: '1' }, { a: null }, { a: undefined }, { a: true }, { a: 1n }],
      [{ a: 1.5 }, { a: Number.MAX_SAFE_INTEGER }, { a: Number.POSITIVE_INFINITY }],
      [
        ['x', 1],
        ['y', 2],
      ],
      [1, 2, 3],
      ['a', 'b'],
      [{ __proto__x: 1 }, { __proto__x: 2 }],
    ]
    for (const values of batches) {
      const { values: decoded } = decodeBatch(
        encodeBatch(
          RecordBatch.of(
            values,
            values.map(() => Number.NEGATIVE_INFINITY),
          ),
        ),
      )
      expect(decoded).toStrictEqual(values)
    }
  })

  test('all of one class are refused like a single one', () => {
    class Point {
      constructor(readonly x: number) {}
    }
    expect(() => encodeBatch(RecordBatch.of([new Point(1), new Point(2), new Point(3)], [0, 0, 0]))).toThrow('an instance of Point')
  })

  test('every record is looked at, not only the first', () => {
    class Point {
      x = 1
    }
    for (const [bad, what] of [
      [() => 1, 'the record is a function'],
      [{ f: () => 1 }, 'the record.f is a function'],
      [{ deep: [{ p: new Point() }] }, 'is an instance of Point'],
      [Symbol('s'), 'is a symbol'],
    ] as const) {
      for (const at of [0, 1, 2]) {
        const values: unknown[] = [{ i: 0 }, { i: 1 }, { i: 2 }]
        values[at] = bad
        expect(() => encodeBatch(RecordBatch.of(values, [0, 0, 0]))).toThrow(what)
      }
    }
  })
})

test('a partitioner for one receiver asks nobody', () => {
  const partition = createPartitioner(
    { kind: 'hash', keySelector: () => undefined },
    { subtask: 0, parallelism: 1, receivers: 1, receiverMaxParallelism: 128, random: () => 0, operator: { uid: 'x', name: 'X' } },
  )
  expect(partition({})).toBe(0)
})
