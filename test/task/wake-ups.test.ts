import { describe, expect, it } from 'vitest'
import type { KeyedProcessFunction } from '../../runtime/index.js'
import { jsonStream, Outside, Stages, StageWorld, thrownBy } from './stage-world.js'

const SECOND = 1_000

/** Says the time each second, once it has begun. */
const ticking: KeyedProcessFunction<string, string, number> = {
  processElement: (_, { timerService }) => {
    const now = timerService.currentProcessingTime()
    timerService.registerProcessingTimeTimer(now - (now % SECOND) + SECOND)
  },
  onTimer: (time, { timerService }, out) => {
    out.collect(time)
    timerService.registerProcessingTimeTimer(time + SECOND)
  },
}

async function running() {
  const world = StageWorld.withStream('keys')
  const outside = new Outside()
  const stages = await Stages.activated(world, (env) => {
    jsonStream<string>(env, 'keys')
      .keyBy((key) => key)
      .process(ticking)
      .uid('ticking')
      .sinkTo(outside.sink())
      .uid('out')
  })
  const begin = (key: string) => stages.put('keys', 's0', key)
  const poke = (again: boolean) => stages.anotherInstance('ticking', '0').invoke({ kind: 'poke', again })
  return { world, stages, outside, begin, poke }
}

describe('wake-ups', () => {
  it('do not multiply where instances take turns', async () => {
    const { world, stages, outside, begin, poke } = await running()
    for (let second = 0; second < 20; second++) {
      begin('a')
      await stages.comeToRest()
      expect(world.pokes.size).toBe(1)
      world.now += SECOND
      // Messages come to other instances than batches do.
      for (const _ of world.pokes.take(world.now)) await poke(false)
      expect(outside.values).toHaveLength(second + 1)
    }
  })

  it('that come several times leave one', async () => {
    const { world, stages, outside, begin, poke } = await running()
    begin('a')
    await stages.comeToRest()
    for (let second = 0; second < 3; second++) {
      world.now += SECOND
      world.pokes.take(world.now)
      await Promise.all(Array.from({ length: 8 }, () => poke(false)))
      await poke(false)
      expect(outside.values).toHaveLength(second + 1)
      expect(world.pokes.size).toBe(1)
    }
  })

  it('that could not be asked for are asked for when the batch comes again', async () => {
    const { world, stages, outside, begin } = await running()
    begin('a')
    await stages.comeToRest({ without: ['ticking'] })
    world.fault = ({ port }) => (port === 'pokes' ? { kind: 'throw-before' } : undefined)
    await thrownBy(stages.takeBatch('ticking', '0'))
    world.fault = () => undefined
    stages.crash()
    expect(world.pokes.size).toBe(0)
    await stages.comeToRest()
    expect(world.pokes.size).toBe(1)
    world.now += SECOND
    await stages.comeToRest()
    expect(outside.values).toHaveLength(1)
  })

  it('that could not be asked for are asked for when the poke comes again', async () => {
    const { world, stages, begin, poke } = await running()
    begin('a')
    await stages.comeToRest()
    world.now += SECOND
    world.pokes.take()
    world.fault = ({ port }) => (port === 'pokes' ? { kind: 'throw-before' } : undefined)
    await thrownBy(poke(false))
    world.fault = () => undefined
    await poke(false)
    expect(world.pokes.size).toBe(0)
    await poke(true)
    expect(world.pokes.size).toBe(1)
  })
})
