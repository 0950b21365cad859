import { describe, expect, it } from 'vitest'
import { EventSourceMapping, mappedStream } from '../../runtime/testing/index.js'
import { MappingBench } from './mapping-bench.js'

const FOREVER = Number.POSITIVE_INFINITY

describe('EventSourceMapping', () => {
  it('M1: has one invocation of a shard at a time, in order, and shards side by side', async () => {
    const bench = new MappingBench(['0', '1'], { batchSize: 2 })
    await bench.put('0', 'abc')
    await bench.put('1', 'xy')
    await bench.start()
    expect(bench.deliveries).toEqual(['0:ab', '1:xy'])
    await bench.put('0', 'd')
    expect(bench.deliveries).toHaveLength(2)
    await bench.invocations[0].succeed()
    expect(bench.deliveries).toEqual(['0:ab', '1:xy', '0:cd'])
    await bench.drain()
    expect(bench.mapping.idle).toBe(true)
    expect(bench.mapping.stats).toMatchObject({ deliveries: 3, acknowledged: 3, failed: 0, shardsFound: 2 })
  })

  it('M2: tries the same batch again, after longer and longer pauses, until it succeeds', async () => {
    const bench = new MappingBench(['0'], { batchSize: 2, retryDelayMs: 100, timeoutMs: FOREVER })
    await bench.put('0', 'ab')
    await bench.start()
    bench.world.script.push(0, 0, 0, 0, 0, 0, 0, 0)
    for (let i = 0; i < 8; i++) {
      await bench.last.fail()
      await bench.put('0', 'c')
      expect(bench.mapping.idle).toBe(false)
      await bench.world.passUntil(() => bench.invocations.length === i + 2)
    }
    expect(new Set(bench.deliveries)).toEqual(new Set(['0:ab']))
    expect(bench.invocations.map(({ atMs }, i) => atMs - (bench.invocations[i - 1]?.atMs ?? 0))).toEqual([
      0, 100, 200, 400, 800, 1600, 3200, 3200, 3200,
    ])
    await bench.last.succeed()
    expect(bench.last.texts.join('')).toBe('cc')
    await bench.last.fail()
    const since = bench.last.atMs
    await bench.world.passUntil(() => bench.invocations.length === 11)
    expect(bench.last.atMs - since).toBeLessThanOrEqual(100)
  })

  it('M2: takes up to half off a pause', async () => {
    const bench = new MappingBench(['0'], { retryDelayMs: 100 })
    await bench.put('0', 'a')
    await bench.start()
    bench.world.script.push(0.5)
    await bench.last.fail()
    await bench.world.pass(74)
    expect(bench.invocations).toHaveLength(1)
    await bench.world.pass(1)
    expect(bench.invocations).toHaveLength(2)
  })

  it('M2: bisects what fails, first half first, down to one record', async () => {
    const bench = new MappingBench(['0'], { bisectOnError: true })
    await bench.put('0', 'abcde')
    await bench.start()
    await bench.put('0', 'f')
    const poison = async () => {
      const failed = bench.last
      if (!failed.texts.includes('b')) return failed.succeed()
      const { length } = bench.invocations
      await failed.fail()
      await bench.world.passUntil(() => bench.invocations.length > length)
    }
    for (let i = 0; i < 6; i++) await poison()
    expect(bench.deliveries).toEqual(['0:abcde', '0:abc', '0:ab', '0:a', '0:b', '0:b', '0:b'])
    expect(bench.mapping.stats).toMatchObject({ bisected: 3, failed: 5 })
    await bench.last.succeed()
    await bench.last.succeed()
    await bench.last.succeed()
    expect(bench.deliveries.slice(7)).toEqual(['0:c', '0:de', '0:f'])
  })

  it('M3: goes on at the record that failed', async () => {
    const bench = new MappingBench(['0'], { partialResponses: true, bisectOnError: true, batchSize: 4 })
    await bench.put('0', 'abcdef')
    await bench.start()
    await bench.last.failFrom('c')
    expect(bench.stream.records('0')[1].position).toBe(bench.mapping.position('0'))
    await bench.world.pass(200)
    expect(bench.deliveries).toEqual(['0:abcd', '0:cd'])
    await bench.last.succeed()
    expect(bench.last.texts.join('')).toBe('ef')
    expect(bench.mapping.stats).toMatchObject({ partial: 1, failed: 1, bisected: 0 })
  })

  it.each([
    ['the first', 0],
    ['none of the batch', 1],
  ])('M3: a position that is %s fails the batch whole', async (_, more) => {
    const bench = new MappingBench(['0'], { partialResponses: true })
    await bench.put('0', 'abc')
    await bench.start()
    await bench.last.answer(bench.stream.records('0')[0].position + BigInt(more))
    await bench.world.pass(200)
    expect(bench.deliveries).toEqual(['0:abc', '0:abc'])
    expect(bench.mapping.stats).toMatchObject({ partial: 0, failed: 1 })
  })

  it('M3: heeds no partial response unless told to', async () => {
    const bench = new MappingBench(['0'])
    await bench.put('0', 'abc')
    await bench.start()
    await bench.last.failFrom('b')
    expect(bench.mapping.idle).toBe(true)
  })

  it('M4: gathers records until the window ends or the batch is full', async () => {
    const bench = new MappingBench(['0'], { batchSize: 3, batchingWindowMs: 1000, timeoutMs: FOREVER })
    await bench.start()
    await bench.world.pass(5000)
    await bench.put('0', 'a')
    await bench.world.pass(999)
    expect(bench.mapping.idle).toBe(false)
    await bench.put('0', 'b')
    expect(bench.deliveries).toEqual([])
    await bench.world.pass(1)
    expect(bench.deliveries).toEqual(['0:ab'])
    await bench.last.succeed()
    await bench.put('0', 'c')
    await bench.world.pass(500)
    await bench.put('0', 'defg')
    expect(bench.deliveries).toEqual(['0:ab', '0:cde'])
    await bench.last.succeed()
    expect(bench.deliveries).toHaveLength(2)
    // The window of c does not count for f and g.
    await bench.world.pass(999)
    expect(bench.deliveries).toHaveLength(2)
    await bench.world.pass(1)
    expect(bench.deliveries).toEqual(['0:ab', '0:cde', '0:fg'])
    expect(bench.mapping.stats.windowsWaited).toBe(3)
  })

  it('M4: does not wait for more from a closed shard', async () => {
    const bench = new MappingBench(['0'], { batchingWindowMs: 1000 })
    await bench.put('0', 'a')
    await bench.start()
    expect(bench.deliveries).toEqual([])
    bench.stream.close('0')
    await bench.wake()
    expect(bench.deliveries).toEqual(['0:a'])
  })

  it('M4: counts bytes as base64, and takes at least one record', async () => {
    const bench = new MappingBench(['0'], { maxBatchBytes: 12, batchingWindowMs: 1000 })
    for (const size of [4, 3, 1, 10, 1]) bench.stream.put('0', new Uint8Array(size))
    await bench.start()
    const sizes = () => bench.invocations.map(({ texts }) => texts.map(({ length }) => length))
    await bench.drain()
    expect(sizes()).toEqual([[4, 3], [1], [10]])
    await bench.world.pass(1000)
    expect(sizes().at(-1)).toEqual([1])
  })

  it('M5: reads the halves of a shard behind it, and what was merged behind all its parents', async () => {
    const bench = new MappingBench(['0'])
    await bench.put('0', 'ab')
    await bench.start()
    bench.stream.reshard(['0'], ['1', '2'])
    await bench.put('1', 'c')
    await bench.put('2', 'd')
    expect(bench.deliveries).toEqual(['0:ab'])
    await bench.last.fail()
    await bench.world.pass(200)
    await bench.last.succeed()
    expect(bench.deliveries.slice(2)).toEqual(['1:c', '2:d'])
    bench.stream.reshard(['1', '2'], ['3'])
    await bench.put('3', 'e')
    await bench.last.succeed()
    expect(bench.deliveries).toHaveLength(4)
    expect(bench.mapping.stats.shardsEnded).toBe(2)
    await bench.invocations[2].succeed()
    expect(bench.deliveries.at(-1)).toBe('3:e')
  })

  it('M5: waits for a parent whose end is not known yet, and passes over empty ones', async () => {
    const bench = new MappingBench(['0'])
    await bench.start()
    bench.stream.reshard(['0'], ['1'])
    bench.stream.reshard(['1'], ['2', '3'])
    await bench.put('3', 'a')
    expect(bench.deliveries).toEqual(['3:a'])
  })

  it('M5: does not mind the order in which shards are listed', async () => {
    const bench = new MappingBench(['0'])
    bench.stream.reshard(['0'], ['1'])
    bench.stream.put('1', new Uint8Array(1))
    const inOrder = mappedStream(bench.stream)
    const mapping = new EventSourceMapping({ shards: () => [...inOrder.shards()].reverse() }, bench.invoke, bench.world, {
      pollMs: FOREVER,
      timeoutMs: FOREVER,
    })
    mapping.start()
    await bench.world.settle()
    expect(bench.invocations.map(({ splitId }) => splitId)).toEqual(['1'])
  })

  it('M5: takes an expired shard as read', async () => {
    const bench = new MappingBench(['0'])
    await bench.put('0', 'a')
    await bench.start()
    bench.stream.reshard(['0'], ['1'])
    await bench.put('1', 'b')
    bench.stream.forget('0')
    await bench.wake()
    expect(bench.deliveries).toEqual(['0:a', '1:b'])
    await bench.invocations[0].fail()
    await bench.world.pass(1000)
    await bench.last.succeed()
    expect(bench.deliveries).toHaveLength(2)
    expect(bench.mapping.stats).toMatchObject({ shardsExpired: 1, shardsEnded: 0 })
    expect(bench.mapping.idle).toBe(true)
  })

  it('M6: tries a batch again when its time is up, while the zombie goes on', async () => {
    const bench = new MappingBench(['0'], { timeoutMs: 1000, retryDelayMs: 0, batchSize: 2 })
    await bench.put('0', 'abc')
    await bench.start()
    await bench.world.pass(999)
    expect(bench.deliveries).toHaveLength(1)
    await bench.world.pass(1)
    expect(bench.deliveries).toEqual(['0:ab', '0:ab'])
    // A zombie's answer moves nothing.
    await bench.invocations[0].succeed()
    expect(bench.mapping.position('0')).toBeUndefined()
    await bench.invocations[1].succeed()
    await bench.world.pass(1000)
    expect(bench.deliveries).toEqual(['0:ab', '0:ab', '0:c', '0:c'])
    await bench.last.succeed()
    expect(bench.mapping.idle).toBe(false)
    await bench.invocations[2].fail()
    expect(bench.mapping.idle).toBe(true)
    expect(bench.mapping.stats).toMatchObject({ timedOut: 2, gaveUpEarly: 0 })
  })

  it('begins at the oldest record, behind the last one or at a time', async () => {
    const begun = async (start: 'TRIM_HORIZON' | 'LATEST' | { atTimestampMs: number }) => {
      const bench = new MappingBench(['0', '1'], { start })
      await bench.put('0', 'a', 10)
      await bench.put('0', 'b', 20)
      await bench.put('0', 'c', 15)
      await bench.start()
      bench.stream.reshard(['1'], ['2'])
      await bench.put('2', 'x', 5)
      await bench.put('0', 'd', 30)
      await bench.drain()
      return bench.deliveries.sort().join(' ')
    }
    expect(await begun('TRIM_HORIZON')).toBe('0:abc 0:d 2:x')
    expect(await begun('LATEST')).toBe('0:d 2:x')
    expect(await begun({ atTimestampMs: 11 })).toBe('0:bc 0:d 2:x')
    expect(await begun({ atTimestampMs: 20 })).toBe('0:bc 0:d 2:x')
    expect(await begun({ atTimestampMs: 21 })).toBe('0:d 2:x')
    expect(await begun({ atTimestampMs: 31 })).toBe('2:x')
  })

  it('finds records and shards by polling', async () => {
    const bench = new MappingBench(['0'], { pollMs: 1000, timeoutMs: FOREVER })
    await bench.start()
    bench.stream.put('0', new Uint8Array(1))
    bench.stream.reshard(['0'], ['1'])
    bench.stream.put('1', new Uint8Array(2))
    await bench.world.pass(999)
    expect(bench.invocations).toHaveLength(0)
    await bench.world.pass(1)
    await bench.drain()
    expect(bench.invocations.map(({ splitId }) => splitId)).toEqual(['0', '1'])
  })

  it('does not poll while disabled, nor without an interval', async () => {
    const polling = new MappingBench(['0'], { pollMs: 1000 })
    await polling.start()
    polling.mapping.disable()
    await polling.world.pass(5000)
    expect(polling.world.sleeping).toBe(0)
    polling.mapping.enable()
    polling.mapping.disable()
    polling.mapping.enable()
    await polling.world.pass(5000)
    expect(polling.world.sleeping).toBe(1)
    const quiet = new MappingBench(['0'])
    await quiet.start()
    expect(quiet.world.sleeping).toBe(0)
  })

  it('leaves one sleep behind, however many time-outs were not needed', async () => {
    const bench = new MappingBench(['0'], { timeoutMs: 60_000, batchSize: 1 })
    await bench.start()
    for (let i = 0; i < 50; i++) {
      await bench.put('0', 'a')
      await bench.world.pass(10)
      await bench.last.succeed()
    }
    expect(bench.world.sleeping).toBe(1)
    await bench.world.pass(60_000)
    expect(bench.world.sleeping).toBe(0)
  })

  it('invokes nothing while disabled, and goes on where it was', async () => {
    const bench = new MappingBench(['0', '1'], { batchSize: 2 })
    await bench.put('0', 'abc')
    await bench.put('1', 'x')
    await bench.start()
    bench.mapping.disable()
    await bench.invocations[0].succeed()
    await bench.invocations[1].fail()
    await bench.put('0', 'd')
    await bench.world.pass(60_000)
    expect(bench.deliveries).toEqual(['0:ab', '1:x'])
    expect(bench.mapping.idle).toBe(false)
    await bench.put('1', 'y')
    bench.mapping.enable()
    await bench.world.settle()
    expect(bench.deliveries.slice(2)).toEqual(['0:cd', '1:xy'])
  })

  it('does nothing before it is started', async () => {
    const bench = new MappingBench(['0'])
    bench.mapping.enable()
    await bench.put('0', 'a')
    await bench.world.settle()
    expect(bench.deliveries).toEqual([])
    expect(bench.mapping.idle).toBe(false)
    expect(bench.mapping.iteratorAgeMs).toBe(0)
  })

  it('takes batches to another function, retries too, and keeps the position', async () => {
    const bench = new MappingBench(['0'], { batchSize: 1 })
    await bench.put('0', 'abc')
    await bench.start()
    await bench.last.succeed()
    const others: string[] = []
    bench.mapping.repoint(async (batch) => {
      others.push(new TextDecoder().decode(batch.records[0].data))
      return { failedFrom: undefined }
    })
    await bench.last.fail()
    await bench.world.pass(200)
    expect(bench.deliveries).toEqual(['0:a', '0:b'])
    expect(others).toEqual(['b', 'c'])
  })

  it('takes a function that throws at once as failed', async () => {
    const bench = new MappingBench(['0'])
    await bench.put('0', 'a')
    bench.mapping.repoint(() => {
      throw new Error('at once')
    })
    await bench.start()
    expect(bench.mapping.stats.failed).toBe(1)
  })

  it('never calls the function within wake', async () => {
    const bench = new MappingBench(['0'])
    await bench.start()
    bench.stream.put('0', new Uint8Array(1))
    bench.mapping.wake()
    bench.mapping.wake()
    expect(bench.invocations).toHaveLength(0)
    await bench.world.settle()
    expect(bench.invocations).toHaveLength(1)
  })

  it('knows the age of the oldest record that is not acknowledged', async () => {
    const bench = new MappingBench(['0', '1'])
    await bench.start()
    await bench.put('0', 'a')
    await bench.world.pass(300)
    await bench.put('1', 'b')
    await bench.world.pass(200)
    expect(bench.mapping.iteratorAgeMs).toBe(500)
    await bench.invocations[0].succeed()
    expect(bench.mapping.iteratorAgeMs).toBe(200)
    await bench.invocations[1].succeed()
    expect(bench.mapping.iteratorAgeMs).toBe(0)
  })

  it.each([
    [{ batchSize: 0 }, {}],
    [{ batchSize: 1.5 }, {}],
    [{ batchSize: 10_001 }, {}],
    [{ pollMs: 0 }, {}],
    [{ timeoutMs: Number.NaN }, {}],
    [{}, { duplicate: 1.1 }],
    [{}, { timeout: -1 }],
  ])('refuses %j %j', (options, faults) => {
    expect(() => new MappingBench(['0'], options, faults)).toThrow('OPTION_INVALID')
  })
})

describe('faults of an EventSourceMapping', () => {
  it('duplicate: an acknowledged batch comes once more before the next, and is tried until it succeeds', async () => {
    const bench = new MappingBench(['0'], { batchSize: 2 }, { duplicate: 1 })
    await bench.put('0', 'abc')
    await bench.start()
    await bench.last.succeed()
    await bench.last.fail()
    await bench.world.pass(200)
    await bench.drain()
    expect(bench.deliveries).toEqual(['0:ab', '0:ab', '0:ab', '0:c', '0:c'])
    expect(bench.mapping.stats.duplicated).toBe(2)
    expect(bench.mapping.idle).toBe(true)
  })

  it('splitRetry: a retry is shorter, or longer by what follows', async () => {
    const bench = new MappingBench(['0'], { batchSize: 4 }, { splitRetry: 1 })
    await bench.put('0', 'ab')
    await bench.start()
    await bench.put('0', 'cdef')
    // Pause, whether, how many of four.
    bench.world.script.push(0, 0, 0.99)
    await bench.last.fail()
    await bench.world.pass(200)
    bench.world.script.push(0, 0, 0)
    await bench.last.fail()
    await bench.world.pass(400)
    await bench.drain()
    expect(bench.deliveries).toEqual(['0:ab', '0:abcd', '0:a', '0:bcde', '0:f'])
    expect(bench.mapping.stats.splitRetries).toBe(2)
  })

  it('loseAnswer: what was acknowledged is tried again', async () => {
    const bench = new MappingBench(['0'], {}, { loseAnswer: 1 })
    await bench.put('0', 'ab')
    await bench.start()
    await bench.last.succeed()
    expect(bench.mapping.position('0')).toBeUndefined()
    await bench.world.pass(200)
    // There is nothing to lose of an invocation that failed.
    await bench.last.fail()
    await bench.world.pass(400)
    bench.mapping.setFaults({})
    await bench.drain()
    expect(bench.deliveries).toEqual(['0:ab', '0:ab', '0:ab'])
    expect(bench.mapping.stats).toMatchObject({ lostAnswers: 1, failed: 2, acknowledged: 1 })
  })

  it('reDeliverOld: goes back some records, not further than two batches or the beginning', async () => {
    const bench = new MappingBench(['0'], { batchSize: 2, start: 'LATEST' }, {})
    await bench.put('0', 'z')
    await bench.start()
    await bench.put('0', 'abcdef')
    await bench.last.succeed()
    // Whether, how far of two.
    bench.world.script.push(0, 0.99)
    bench.mapping.setFaults({ reDeliverOld: 1 })
    await bench.last.fail()
    bench.mapping.setFaults({})
    await bench.world.pass(200)
    expect(bench.deliveries).toEqual(['0:ab', '0:cd', '0:ab'])
    await bench.last.succeed()
    await bench.last.succeed()
    // How far of four.
    bench.world.script.push(0, 0.99)
    bench.mapping.setFaults({ reDeliverOld: 1 })
    await bench.last.succeed()
    bench.mapping.setFaults({})
    await bench.drain()
    expect(bench.deliveries.slice(3)).toEqual(['0:cd', '0:ef', '0:cd', '0:ef'])
    expect(bench.mapping.stats.wentBack).toBe(2)
  })

  it('timeout: gives an invocation up before its time', async () => {
    const bench = new MappingBench(['0'], { retryDelayMs: 0, timeoutMs: 60_000 }, { timeout: 1 })
    await bench.put('0', 'a')
    // Whether, how soon: about the square root of the time-out.
    bench.world.script.push(0, 0.5)
    await bench.start()
    bench.mapping.setFaults({})
    await bench.world.pass(242)
    expect(bench.deliveries).toHaveLength(1)
    await bench.world.pass(1)
    expect(bench.deliveries).toEqual(['0:a', '0:a'])
    expect(bench.mapping.stats).toMatchObject({ timedOut: 1, gaveUpEarly: 1 })
  })
})
