import { beforeEach, describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { jsonStream, Outside, Stages, StageWorld, sortedJson, thrownBy } from './stage-world.js'

const LIMIT_BYTES = 2_000

interface Line {
  readonly n: number
  readonly text: string
}

function lines(from: number, to: number): Line[] {
  return Array.from({ length: to - from }, (_, i) => ({ n: from + i, text: 'x'.repeat(200) }))
}

let world: StageWorld
let outside: Outside
let stages: Stages

beforeEach(async () => {
  world = StageWorld.withStream('lines', ['s0', 's1'])
  outside = new Outside()
  const define = (env: StreamExecutionEnvironment) => {
    jsonStream<Line>(env, 'lines')
      .keyBy(({ n }) => n % 3)
      .map(({ n }) => n)
      .uid('number')
      .sinkTo(outside.sink())
      .uid('out')
  }
  stages = await Stages.activated(world, define, { settings: { stashLimitBytes: LIMIT_BYTES }, timeoutMs: 10 * 60_000 })
})

/** A checkpoint that one of two splits never hears of: all that the other sends waits. */
async function checkpointThatWaits(records: number): Promise<void> {
  await stages.control.begin('checkpoint')
  world.pokes.take()
  await stages.poke('lines', 's0')
  for (const line of lines(0, records)) {
    stages.put('lines', 's0', line)
    await stages.takeBatch('lines', 's0')
    await stages.takeBatch('number', '0')
  }
}

describe('while a barrier waits for a split that is not invoked', () => {
  it('frames wait up to the limit, and the checkpoint waits, too', async () => {
    await checkpointThatWaits(5)
    expect(outside.values).toEqual([])
    expect(world.count('stash-over-limit')).toBe(0)
    expect(await stages.control.poll()).toMatchObject({ status: 'pending', checkpointId: 1 })
    await stages.poke('lines', 's1')
    await stages.comeToRest()
    expect(outside.values).toEqual([0, 1, 2, 3, 4])
    expect(await stages.control.poll()).toMatchObject({ status: 'completed' })
  })

  it('beyond the limit the checkpoint is given up, and everything is consumed, in order and once', async () => {
    await checkpointThatWaits(30)
    expect(world.count('stash-over-limit')).toBeGreaterThan(0)
    await stages.comeToRest({ without: ['lines'] })
    expect(outside.values).toEqual(lines(0, 30).map(({ n }) => n))
    const record = await stages.control.record()
    expect(record).toMatchObject({ pending: null, aborted: 1, completed: 0 })
    expect(record?.abortedWhy).toContain('stash')
    expect(await stages.control.poll()).toMatchObject({ status: 'idle', aborted: 1 })
  })

  it('the next checkpoint completes, and holds everything', async () => {
    await checkpointThatWaits(30)
    await stages.comeToRest()
    const ref = await stages.checkpoint()
    expect(ref.checkpointId).toBe(2)
    stages.put('lines', 's1', ...lines(30, 33))
    await stages.comeToRest()
    await stages.activate({ from: ref })
    expect(sortedJson(outside.values)).toEqual(sortedJson([...lines(0, 33), ...lines(30, 33)].map(({ n }) => n)))
  })

  it('a cold instance neither forgets that the limit is exceeded nor gives up a checkpoint twice', async () => {
    await stages.control.begin('checkpoint')
    world.pokes.take()
    await stages.poke('lines', 's0')
    stages.put('lines', 's0', ...lines(0, 20))
    await stages.takeBatch('lines', 's0')
    let calls = 0
    world.fault = ({ port, operation, key }) => {
      // The function dies right after the commit that holds the stash.
      if (port === 'log' && operation === 'append' && key.includes('/number/')) return ++calls === 1 ? { kind: 'throw-after' } : undefined
      return undefined
    }
    await expect(stages.takeBatch('number', '0')).rejects.toMatchObject({ code: 'AWS_CALL' })
    await stages.comeToRest({ without: ['lines'] })
    expect(outside.values).toEqual(lines(0, 20).map(({ n }) => n))
    expect(world.count('checkpoint-aborted')).toBeLessThanOrEqual(1)
    expect((await stages.control.record())?.aborted).toBe(1)
  })

  it('frames that wait for one that is missing, not for a barrier, give up nothing', async () => {
    stages.put('lines', 's0', ...lines(0, 2))
    await stages.takeBatch('lines', 's0')
    await stages.takeBatch('number', '0')
    for (const line of lines(2, 40)) {
      stages.put('lines', 's0', line)
      await stages.takeBatch('lines', 's0')
    }
    const frames = world.streams.stream('job/1/number').records('0')
    // The first frame of these comes last.
    await stages.invoke('number', '0', { kind: 'batch', records: frames.slice(2) })
    expect(outside.values).toEqual([0, 1])
    expect(world.count('gap')).toBeGreaterThan(0)
    expect(world.count('stash-over-limit')).toBe(0)
    const late = { ...frames[1], position: frames[frames.length - 1].position + 1n }
    await stages.invoke('number', '0', { kind: 'batch', records: [late] })
    expect(outside.values).toEqual(lines(0, 40).map(({ n }) => n))
  })
})

describe('a stop that is given up', () => {
  it('goes on with the split that had stopped, and nothing that was thrown back meanwhile is lost', async () => {
    await stages.control.begin('stop')
    world.pokes.take()
    await stages.poke('lines', 's0')
    stages.put('lines', 's0', ...lines(0, 4))
    expect(await thrownBy(stages.takeBatch('lines', 's0'))).toMatchObject({ code: 'BATCH_REFUSED' })
    expect(world.count('batch-held')).toBe(1)
    await stages.control.abort(1, 'not now')
    await stages.comeToRest()
    expect(world.count('stop-undone')).toBe(1)
    expect(outside.values).toEqual([0, 1, 2, 3])
    await stages.checkpoint('stop')
    stages.put('lines', 's1', ...lines(4, 6))
    expect(await thrownBy(stages.takeBatch('lines', 's1'))).toMatchObject({ code: 'BATCH_REFUSED' })
    await stages.activate({ from: { checkpointId: 2, savepoint: true } })
    expect(outside.values).toEqual([0, 1, 2, 3, 4, 5])
  })
})
