import { describe, expect, expectTypeOf, it } from 'vitest'
import { collectionSource, generatorSource } from '../../runtime/connectors/index.js'
import { SourceHarness } from '../../runtime/testing/index.js'

const numbers = Array.from({ length: 2000 }, (_, i) => i)

describe('collectionSource', () => {
  it('emits everything in order, from one subtask at any parallelism', async () => {
    const harness = await SourceHarness.start(collectionSource(numbers), { parallelism: 3 })
    expect(await harness.drain()).toEqual(numbers)
    expect(new Set(harness.records.map((record) => record.subtask)).size).toBe(1)
    expect(harness.releasedSplits).toEqual(['collection'])
  })

  it('goes on behind the snapshot, also at another parallelism', async () => {
    const source = collectionSource(numbers)
    const first = await SourceHarness.start(source)
    const before = await first.take(600)
    const second = await SourceHarness.start(source, { restored: first.snapshot(), parallelism: 4 })
    const after = await second.drain()
    expect(after.length).toBeGreaterThan(0)
    expect([...before, ...after]).toEqual(numbers)
  })

  it('a snapshot before any split was assigned, and one after the end', async () => {
    const source = collectionSource([1, 2])
    const ended = await SourceHarness.start(source)
    await ended.drain()
    expect(await (await SourceHarness.start(source, { restored: ended.snapshot() })).drain()).toEqual([])
    const fresh = { enumerator: { pending: [{ splitId: 'collection', next: 1 }] }, readers: [] }
    expect(await (await SourceHarness.start(source, { restored: fresh })).drain()).toEqual([2])
  })

  it('gives timestamps when asked, and ends at once when empty', async () => {
    const harness = await SourceHarness.start(collectionSource(['a', 'b'], { timestamps: (_, i) => i * 10 }))
    await harness.drain()
    expect(harness.records.map((record) => record.timestamp)).toEqual([0, 10])
    expect(await (await SourceHarness.start(collectionSource([]))).drain()).toEqual([])
  })
})

describe('generatorSource', () => {
  it('deals the numbers out by stride', async () => {
    const harness = await SourceHarness.start(generatorSource({ count: 10, generate: (i) => i }), { parallelism: 3 })
    await harness.drain()
    const of = (subtask: number) => harness.records.filter((record) => record.subtask === subtask).map((record) => record.value)
    expect([of(0), of(1), of(2)]).toEqual([
      [0, 3, 6, 9],
      [1, 4, 7],
      [2, 5, 8],
    ])
    expect(harness.releasedSplits.sort()).toEqual(['generator-0', 'generator-1', 'generator-2'])
  })

  it.each([
    [4, 1],
    [4, 2],
    [4, 3],
    [1, 4],
    [3, 5],
  ])('loses and repeats nothing when rescaled from %i to %i', async (from, to) => {
    const source = generatorSource({ count: 10_001, generate: (i) => i })
    const first = await SourceHarness.start(source, { parallelism: from })
    const before = await first.take(3000)
    const second = await SourceHarness.start(source, { parallelism: to, restored: first.snapshot() })
    const again = await second.take(2000)
    const third = await SourceHarness.start(source, { parallelism: from, restored: second.snapshot() })
    const all = [...before, ...again, ...(await third.drain())]
    expect(all.sort((a, b) => a - b)).toEqual(Array.from({ length: 10_001 }, (_, i) => i))
  })

  it('takes its splits in turn when one reader has several', async () => {
    const source = generatorSource({ count: Number.POSITIVE_INFINITY, generate: (i) => i })
    const wide = await SourceHarness.start(source, { parallelism: 3 })
    const narrow = await SourceHarness.start(source, { parallelism: 1, restored: wide.snapshot() })
    await narrow.take(512 * 6)
    const polls = narrow.records.filter((_, i) => i % 512 === 0).map((record) => record.splitId)
    expect(polls).toEqual(['generator-0', 'generator-1', 'generator-2', 'generator-0', 'generator-1', 'generator-2'])
  })

  it('keeps its rate over all subtasks, and after a restore does not make up for the pause', async () => {
    let now = 1_000_000
    const source = generatorSource({ count: 1000, generate: (i) => i, ratePerSecond: 100 })
    const harness = await SourceHarness.start(source, { parallelism: 2, now: () => now })
    const pollBoth = (of: typeof harness) => {
      for (let n = 0; n < 4; n++) for (const subtask of [0, 1]) of.poll(subtask)
    }
    pollBoth(harness)
    expect(harness.values).toEqual([0])
    now += 1000
    pollBoth(harness)
    expect(Math.abs(harness.values.length - 100)).toBeLessThanOrEqual(2)
    now += 60_000
    const restored = await SourceHarness.start(source, { parallelism: 2, now: () => now, restored: harness.snapshot() })
    pollBoth(restored)
    expect(restored.values.length).toBeLessThanOrEqual(2)
    now += 500
    pollBoth(restored)
    expect(Math.abs(restored.values.length - 50)).toBeLessThanOrEqual(2)
  })

  it('waits for the next element with a timer', async () => {
    const harness = await SourceHarness.start(generatorSource({ count: 5, generate: (i) => i, ratePerSecond: 100 }))
    const start = performance.now()
    expect(await harness.drain()).toEqual([0, 1, 2, 3, 4])
    expect(performance.now() - start).toBeGreaterThan(30)
    await harness.close()
  })

  it('refuses options that mean nothing', () => {
    for (const options of [{ count: -1 }, { count: 1.5 }, { count: Number.NaN }, { count: 1, ratePerSecond: 0 }]) {
      expect(() => generatorSource({ generate: (i) => i, ...options })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    }
  })

  it('is unbounded only without an end, and has the element type of its function', () => {
    expect(generatorSource({ count: Number.POSITIVE_INFINITY, generate: (i) => i }).boundedness).toBe('unbounded')
    const source = generatorSource({ count: 3, generate: (i) => ({ id: i }) })
    expect(source.boundedness).toBe('bounded')
    expectTypeOf(source.createReader)
      .returns.toHaveProperty('pollNext')
      .parameter(0)
      .toHaveProperty('collect')
      .parameter(0)
      .toEqualTypeOf<{ id: number }>()
  })
})
