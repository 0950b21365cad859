import { describe, expect, it } from 'vitest'
import { AsyncDataStream, defineJob } from '../../runtime/api/index.js'
import { AsyncRetryStrategies, ifAnyException, ifEmptyResult, type ResultFuture } from '../../runtime/core/index.js'
import { JobDriver } from '../../runtime/testing/index.js'

type Pending = Map<string, ResultFuture<string>>

/** A job whose calls are completed by hand, by the element. */
function job(mode: 'orderedWait' | 'unorderedWait', pending: Pending, options = {}, capacity = 100) {
  return defineJob('async', (env) => {
    const source = env.fromElements<string>().uid('in')
    const fn = (value: string, future: ResultFuture<string>) => {
      if (value.startsWith('now')) future.complete([`${value}!`])
      else pending.set(value, future)
    }
    AsyncDataStream[mode](source, fn, { timeoutMs: 0, capacity, ...options })
      .uid('async')
      .collect('out')
      .uid('out')
  })
}

function shown(driver: JobDriver): unknown[] {
  const records = driver.output('out').map((item) => {
    if (item.kind === 'record') return [item.value, item.timestamp]
    return item.kind === 'watermark' ? `wm ${item.watermark}` : undefined
  })
  return records.filter((item) => item !== undefined)
}

describe('ordered', () => {
  it('keeps results and watermarks in the order of the elements', async () => {
    const pending: Pending = new Map()
    const driver = await JobDriver.start(job('orderedWait', pending))
    const input = driver.input<string>('in')
    input.element('x', 10)
    input.element('y', 20)
    input.watermark(25)
    input.element('z', 30)
    pending.get('y')?.complete(['Y'])
    pending.get('z')?.complete(['Z'])
    await driver.settle()
    expect(shown(driver)).toEqual([])
    pending.get('x')?.complete(['X1', 'X2'])
    await driver.settle()
    expect(shown(driver)).toEqual([['X1', 10], ['X2', 10], ['Y', 20], 'wm 25', ['Z', 30]])
  })
})

describe('unordered', () => {
  it('lets results overtake between watermarks, never across', async () => {
    const pending: Pending = new Map()
    const driver = await JobDriver.start(job('unorderedWait', pending))
    const input = driver.input<string>('in')
    input.element('x', 10)
    input.element('y', 20)
    input.watermark(25)
    input.element('z', 30)
    input.element('w', 31)
    for (const [element, results] of [
      ['z', ['Z']],
      ['y', ['Y']],
      ['w', []],
    ] as const) {
      pending.get(element)?.complete(results)
      await driver.settle()
    }
    expect(shown(driver)).toEqual([['Y', 20]])
    pending.get('x')?.complete(['X'])
    await driver.settle()
    expect(shown(driver)).toEqual([['Y', 20], ['X', 10], 'wm 25', ['Z', 30]])
  })

  it('passes a watermark at once when nothing is before it', async () => {
    const driver = await JobDriver.start(job('unorderedWait', new Map()))
    driver.input('in').watermark(5)
    expect(shown(driver)).toEqual(['wm 5'])
  })
})

it('gives a result that is there at once on the next turn, not in the call', async () => {
  const driver = await JobDriver.start(job('orderedWait', new Map()))
  driver.input('in').element('now', 1)
  expect(shown(driver)).toEqual([])
  await driver.settle()
  expect(shown(driver)).toEqual([['now!', 1]])
})

it('holds back its input at its capacity, watermarks counted', async () => {
  const pending: Pending = new Map()
  const driver = await JobDriver.start(job('unorderedWait', pending, {}, 2))
  const input = driver.input<string>('in')
  input.element('a', 1)
  input.watermark(1)
  input.element('b', 2)
  input.element('c', 3)
  expect([...pending.keys()]).toEqual(['a'])
  pending.get('a')?.complete(['A'])
  await driver.settle()
  expect([...pending.keys()]).toEqual(['a', 'b', 'c'])
  pending.get('c')?.complete(['C'])
  pending.get('b')?.complete([])
  await driver.settle()
  expect(shown(driver)).toEqual([['A', 1], 'wm 1', ['C', 3]])
})

it('takes the first answer only', async () => {
  const pending: Pending = new Map()
  const driver = await JobDriver.start(job('orderedWait', pending))
  driver.input('in').element('a', 1)
  pending.get('a')?.complete(['first'])
  pending.get('a')?.complete(['second'])
  pending.get('a')?.completeExceptionally(new Error('late'))
  await driver.settle()
  pending.get('a')?.complete(['third'])
  await driver.settle()
  expect(driver.values('out')).toEqual(['first'])
})

it('ends only after all pending elements', async () => {
  const pending: Pending = new Map()
  const driver = await JobDriver.start(job('orderedWait', pending))
  driver.input('in').element('a', 1)
  await driver.input('in').end()
  expect(shown(driver)).toEqual([])
  pending.get('a')?.complete(['A'])
  await driver.settle()
  expect(shown(driver)).toEqual([['A', 1], 'wm Infinity'])
})

describe('time-outs', () => {
  it('fail the job with the operator’s place', async () => {
    const driver = await JobDriver.start(job('orderedWait', new Map(), { timeoutMs: 100 }))
    driver.input('in').element('a', 1)
    driver.advanceProcessingTime(99)
    expect(() => driver.advanceProcessingTime(100)).toThrowError(/ASYNC_TIMEOUT.*100 ms[\s\S]*uid async/)
  })

  it('go to the function when it wants them, and a result that is quicker counts', async () => {
    const pending: Pending = new Map()
    const late: string[] = []
    const driver = await JobDriver.start(
      defineJob('timeouts', (env) => {
        const source = env.fromElements<string>().uid('in')
        const fn = {
          asyncInvoke: (value: string, future: ResultFuture<string>) => void pending.set(value, future),
          timeout: async (value: string) => {
            late.push(value)
            return [`${value} late`]
          },
        }
        AsyncDataStream.unorderedWait(source, fn, { timeoutMs: 100 }).collect('out').uid('out')
      }),
    )
    const input = driver.input<string>('in')
    input.element('a')
    driver.advanceProcessingTime(50)
    input.element('b')
    driver.advanceProcessingTime(100)
    await driver.settle()
    expect(driver.values('out')).toEqual(['a late'])
    pending.get('b')?.complete(['B'])
    await driver.settle()
    driver.advanceProcessingTime(1_000)
    await driver.settle()
    expect(driver.values('out')).toEqual(['a late', 'B'])
    expect(late).toEqual(['a'])
  })
})

describe('failures', () => {
  const failing = async (fn: (value: string) => Promise<string>) => {
    const driver = await JobDriver.start(
      defineJob('failing', (env) => {
        AsyncDataStream.orderedWait(env.fromElements<string>().uid('in'), fn, { timeoutMs: 0 }).uid('call').collect('out').uid('out')
      }),
    )
    driver.input('in').element('a')
    return driver.settle()
  }

  it('name the operator, whether thrown or rejected', async () => {
    const place = /USER_FUNCTION: .*nobody answers[\s\S]*uid call/
    await expect(failing(() => Promise.reject(new Error('nobody answers')))).rejects.toThrowError(place)
    await expect(
      failing(() => {
        throw new Error('nobody answers')
      }),
    ).rejects.toThrowError(place)
  })
})

describe('retries', () => {
  const retrying = async (
    answers: readonly (string[] | Error)[],
    retry: ReturnType<typeof AsyncRetryStrategies.fixedDelay<string>>,
    timeoutMs = 10_000,
  ) => {
    const triedAt: number[] = []
    const driver: JobDriver = await JobDriver.start(
      defineJob('retrying', (env) => {
        const call = async () => {
          const answer = answers[Math.min(triedAt.push(driver.processingTime), answers.length) - 1]
          if (answer instanceof Error) throw answer
          return answer
        }
        AsyncDataStream.orderedWait(env.fromElements<string>().uid('in'), call, { timeoutMs, retry }).collect('out').uid('out')
      }),
    )
    driver.input('in').element('a')
    await driver.settle()
    const at = async (...times: number[]) => {
      for (const time of times) {
        driver.advanceProcessingTime(time)
        await driver.settle()
      }
    }
    return { driver, triedAt, at }
  }
  const error = new Error('busy')

  it('wait a fixed delay, as often as allowed', async () => {
    const retry = AsyncRetryStrategies.fixedDelay<string>({ maxAttempts: 2, delayMs: 10, ifException: ifAnyException })
    const { driver, triedAt, at } = await retrying([error, error, ['ok']], retry)
    await at(9, 10, 19, 20)
    expect(triedAt).toEqual([0, 10, 20])
    expect(driver.values('out')).toEqual(['ok'])
  })

  it('give up with the last failure', async () => {
    const retry = AsyncRetryStrategies.fixedDelay<string>({ maxAttempts: 1, delayMs: 10, ifException: ifAnyException })
    const { at, triedAt } = await retrying([error], retry)
    await expect(at(10)).rejects.toThrowError(/busy/)
    expect(triedAt).toEqual([0, 10])
  })

  it('wait longer and longer, up to the most', async () => {
    const retry = AsyncRetryStrategies.exponentialBackoff<string>({ maxAttempts: 4, initialDelayMs: 10, maxDelayMs: 35, ifResult: ifEmptyResult })
    const { driver, triedAt, at } = await retrying([[]], retry)
    await at(10, 30, 65, 100, 200)
    expect(triedAt).toEqual([0, 10, 30, 65, 100])
    expect(driver.values('out')).toEqual([])
  })

  it('leave alone what the predicates do not name', async () => {
    const retry = AsyncRetryStrategies.fixedDelay<string>({ maxAttempts: 3, delayMs: 10, ifResult: ifEmptyResult })
    await expect(retrying([error], retry)).rejects.toThrowError(/busy/)
  })

  it('end with the time-out, which counts over all tries', async () => {
    const retry = AsyncRetryStrategies.fixedDelay<string>({ maxAttempts: 100, delayMs: 10, ifException: ifAnyException })
    const { at, triedAt } = await retrying([error], retry, 25)
    await expect(at(10, 20, 30)).rejects.toThrowError(/ASYNC_TIMEOUT/)
    expect(triedAt).toEqual([0, 10, 20])
  })

  it('go on at the end of the input, which waits for them', async () => {
    const retry = AsyncRetryStrategies.fixedDelay<string>({ maxAttempts: 2, delayMs: 1_000, ifResult: ifEmptyResult })
    const { driver, triedAt, at } = await retrying([[]], retry)
    await driver.input('in').end()
    expect(shown(driver)).toEqual([])
    await at(1_000, 2_000)
    expect(triedAt).toEqual([0, 1_000, 2_000])
    expect(shown(driver)).toEqual(['wm Infinity'])
  })
})

describe('options', () => {
  it.each([
    [{ timeoutMs: -1 }, 'timeoutMs'],
    [{ timeoutMs: 0, capacity: 0 }, 'capacity'],
    [{ timeoutMs: 0, retry: AsyncRetryStrategies.fixedDelay<string>({ maxAttempts: 1, delayMs: 1, ifException: ifAnyException }) }, 'timeoutMs'],
  ])('refuses %j', async (options, name) => {
    await expect(JobDriver.start(job('orderedWait', new Map(), options))).rejects.toThrowError(new RegExp(`OPTION_INVALID.*${name}`))
  })

  it('refuses a retry strategy that would never retry', () => {
    expect(() => AsyncRetryStrategies.fixedDelay({ maxAttempts: 1, delayMs: 1 })).toThrowError(/OPTION_INVALID.*nothing would be tried again/)
    expect(() => AsyncRetryStrategies.fixedDelay({ maxAttempts: 0, delayMs: 1, ifException: ifAnyException })).toThrowError(/maxAttempts/)
  })
})

describe('restore', () => {
  it('calls again for what was pending, in place between the watermarks', async () => {
    const before: Pending = new Map()
    const first = await JobDriver.start(job('orderedWait', before))
    const input = first.input<string>('in')
    input.element('a', 1)
    input.element('b', 2)
    input.watermark(2)
    input.element('c', 3)
    before.get('a')?.complete(['A'])
    before.get('c')?.complete(['C'])
    await first.settle()
    expect(shown(first)).toEqual([['A', 1]])
    const snapshot = await first.snapshot()

    const after: Pending = new Map()
    const second = await JobDriver.start(job('orderedWait', after, {}, 2), { restored: snapshot })
    await second.settle()
    expect([...after.keys()]).toEqual(['b']) // no room for c beside b and the watermark
    // Again before it was even called: nothing is lost.
    const third = await JobDriver.start(job('orderedWait', after), { restored: await second.snapshot() })
    after.get('b')?.complete(['B'])
    after.get('c')?.complete(['C'])
    await third.settle()
    expect(shown(third)).toEqual([['B', 2], 'wm 2', ['C', 3]])
  })

  it('deals elements out to another number of subtasks, without old watermarks', async () => {
    const before: Pending = new Map()
    const first = await JobDriver.start(job('orderedWait', before))
    for (const element of ['a', 'b', 'c']) first.input<string>('in').element(element, 1)
    first.input('in').watermark(10)
    const after: Pending = new Map()
    const second = await JobDriver.start(job('orderedWait', after), { restored: await first.snapshot(), parallelism: 2 })
    expect([...after.keys()].sort()).toEqual(['a', 'b', 'c'])
    for (const future of after.values()) future.complete(['x'])
    await second.settle()
    expect(shown(second)).toEqual([
      ['x', 1],
      ['x', 1],
      ['x', 1],
    ])
  })
})
