import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import type { CheckpointStore } from '../../runtime/checkpoint/index.js'
import { listState, valueState } from '../../runtime/index.js'
import { KeyedStateBackend } from '../../runtime/state/index.js'
import type { StageSettings } from '../../runtime/task/stage-settings.js'
import { jsonStream, Outside, Stages, StageWorld } from './stage-world.js'

interface Click {
  readonly key: number
  readonly n: number
}

let world: StageWorld
let outside: Outside

beforeEach(() => {
  world = StageWorld.withStream('clicks')
  outside = new Outside()
})

afterEach(() => {
  vi.restoreAllMocks()
})

/** Sums by key, with all that was added; a negative number forgets the key. */
function sums(env: StreamExecutionEnvironment): void {
  jsonStream<Click>(env, 'clicks')
    .keyBy(({ key }) => key)
    .process({
      state: { sum: valueState<number>(), all: listState<number>() },
      processElement({ key, n }, { state }, out: { collect(value: unknown): void }) {
        if (n < 0) {
          state.sum.clear()
          state.all.clear()
        } else {
          state.sum.update((state.sum.value() ?? 0) + n)
          state.all.add(n)
        }
        out.collect([key, state.sum.value(), [...state.all.get()].length])
      },
    })
    .uid('sum')
    .sinkTo(outside.sink())
    .uid('out')
}

async function stagesWith(settings: Partial<StageSettings>): Promise<Stages> {
  const stages = await Stages.activated(world, sums, { settings })
  return stages
}

async function click(stages: Stages, ...clicks: readonly Click[]): Promise<void> {
  stages.put('clicks', 's0', ...clicks)
  await stages.comeToRest()
}

const many = (from: number, to: number, n = 1): Click[] => Array.from({ length: to - from }, (_, i) => ({ key: from + i, n }))
const segments = async (stages: Stages) => (await stages.base('sum', '0')).keyed.get('sum') ?? []
const putsTo = (port: string) => world.calls.filter((call) => call.startsWith(`${port}.put`)).length

describe('a base', () => {
  it('holds what changed since the one before, and goes on with its segments', async () => {
    const stages = await stagesWith({ inlineBytes: 200 })
    await click(stages, ...many(0, 1_000))
    await stages.checkpoint()
    const [first] = await segments(stages)
    await click(stages, ...many(10, 30))
    await stages.checkpoint()
    const [same, changed, ...others] = await segments(stages)
    expect([same, others]).toEqual([first, []])
    expect(changed.bytes).toBeLessThan(first.bytes / 10)
    stages.crash()
    await click(stages, { key: 20, n: 5 }, { key: 999, n: 5 }, { key: 5_000, n: 5 })
    expect(outside.values.slice(-3)).toEqual([
      [20, 7, 3],
      [999, 6, 2],
      [5_000, 5, 1],
    ])
  })

  it('costs no blob while what changed is small: it stands in the log, the acknowledgement and the manifest', async () => {
    const stages = await stagesWith({})
    await click(stages, ...many(0, 2_000))
    await stages.checkpoint()
    const before = putsTo('checkpoints')
    const parts = putsTo('parts')
    for (let round = 0; round < 5; round++) {
      await click(stages, ...many(round, round + 10))
      await stages.checkpoint()
    }
    // The manifests alone.
    expect([putsTo('checkpoints') - before, putsTo('parts') - parts]).toEqual([5, 0])
    const [whole, inline, ...others] = await segments(stages)
    expect([whole.inline, inline.inline?.length, others]).toEqual([undefined, inline.bytes, []])
    stages.crash()
    await click(stages, { key: 3, n: 1 }, { key: 1_999, n: 1 })
    expect(outside.values.slice(-2)).toEqual([
      [3, 6, 6],
      [1_999, 2, 2],
    ])
  })

  it('that stands alone already is named again by the next savepoint', async () => {
    const stages = await stagesWith({ inlineBytes: 10 })
    await click(stages, ...many(0, 50))
    await stages.checkpoint('savepoint')
    const before = await segments(stages)
    await stages.checkpoint('savepoint')
    expect(await segments(stages)).toEqual(before)
  })

  it('keeps what is gone from coming back out of older segments', async () => {
    const stages = await stagesWith({ inlineBytes: 10 })
    await click(stages, ...many(0, 50))
    await stages.checkpoint()
    await click(stages, ...many(0, 50, -1))
    await stages.checkpoint()
    stages.crash()
    await click(stages, { key: 7, n: 2 })
    expect(outside.values.at(-1)).toEqual([7, 2, 1])
  })

  it('of few rows that changed again and again is all of them, from memory', async () => {
    const stages = await stagesWith({ inlineBytes: 100 })
    await click(stages, ...many(0, 300))
    await stages.checkpoint()
    for (let round = 0; round < 5; round++) await click(stages, ...many(10, 300, round % 2 === 0 ? -1 : 1))
    await click(stages, ...many(100, 110))
    expect(world.count('base-from-memory')).toBe(0)
    await stages.checkpoint()
    expect([world.count('base-from-memory'), world.count('incremental-base')]).toEqual([1, 0])
    expect(await segments(stages)).toHaveLength(1)
    await click(stages, ...many(0, 2))
    stages.crash()
    await click(stages, ...many(0, 1), ...many(105, 106), ...many(200, 201))
    expect(outside.values.slice(-3)).toEqual([
      [0, 3, 3],
      [105, 2, 2],
      [200, 1, 1],
    ])
  })

  it.each([
    ['all', 1],
    ['only part', 0],
  ])('goes on from memory where %s of the state is there, else from the log', async (held, fromMemory) => {
    if (held === 'only part') vi.spyOn(KeyedStateBackend.prototype, 'holdsWholeState', 'get').mockReturnValue(false)
    const stages = await stagesWith({ inlineBytes: 100 })
    await click(stages, ...many(0, 10))
    await stages.checkpoint()
    for (let round = 0; round < 5; round++) await click(stages, ...many(0, 10))
    await stages.checkpoint()
    expect(world.count('base-from-memory')).toBe(fromMemory)
    await stages.checkpoint('savepoint')
    if (fromMemory === 0) expect(world.count('base-from-memory')).toBe(0)
    stages.crash()
    await click(stages, { key: 3, n: 1 })
    expect(outside.values.at(-1)).toEqual([3, 7, 7])
  })

  it.each(['savepoint', 'stop'] as const)('at a %s stands alone', async (kind) => {
    const stages = await stagesWith({ inlineBytes: 200 })
    await click(stages, ...many(0, 200))
    await stages.checkpoint()
    await click(stages, ...many(0, 100))
    await stages.checkpoint()
    expect(await segments(stages)).toHaveLength(2)
    const older = new Set((await segments(stages)).map(({ name }) => name))
    await stages.checkpoint(kind)
    const whole = await segments(stages)
    expect(whole).toHaveLength(1)
    expect(older.has(whole[0].name)).toBe(false)
  })
})

describe('compaction', () => {
  async function withSegments(stages: Stages, count: number): Promise<void> {
    for (let round = 0; round < count; round++) {
      await click(stages, ...many(round * 10, round * 10 + 20), { key: round, n: -1 })
      await stages.checkpoint()
    }
  }

  it('merges small segments at the cut that would be one too many', async () => {
    const stages = await stagesWith({ inlineBytes: 20, mostSegments: 3 })
    await withSegments(stages, 10)
    expect((await segments(stages)).length).toBeLessThanOrEqual(3)
    expect(world.count('compacted-at-cut')).toBeGreaterThan(2)
    expect(world.count('compaction')).toBe(0)
  })

  it('never merges more than fits, says what it leaves, and loses nothing', async () => {
    const limit = 900
    const stages = await stagesWith({ inlineBytes: 20, mostSegments: 2, mergedAtCutBytes: 0, compactionBytes: limit })
    await withSegments(stages, 12)
    const left = await segments(stages)
    expect(left.length).toBeGreaterThan(2)
    expect(Math.max(...left.map(({ bytes }) => bytes))).toBeLessThanOrEqual(limit)
    expect(world.count('compaction')).toBeGreaterThan(2)
    expect(world.count('segments-too-large')).toBeGreaterThan(0)
    stages.crash()
    outside.applied.length = 0
    await click(stages, { key: 2, n: 3 }, { key: 45, n: 3 })
    expect(outside.values).toEqual([
      [2, 3, 1],
      [45, 5, 3],
    ])
  })

  it('merges large ones when the subtask is poked, and loses nothing of what is committed meanwhile', async () => {
    const stages = await stagesWith({ inlineBytes: 20, mostSegments: 2, mergedAtCutBytes: 0 })
    await withSegments(stages, 8)
    expect(world.count('compaction')).toBeGreaterThan(2)
    expect((await segments(stages)).length).toBeLessThanOrEqual(2)
    stages.crash()
    outside.applied.length = 0
    await click(stages, { key: 2, n: 3 }, { key: 45, n: 3 }, { key: 7, n: 3 })
    expect(outside.values).toEqual([
      [2, 3, 1],
      [45, 5, 3],
      [7, 3, 1],
    ])
  })

  it('that loses its commit is swapped in behind what came first', async () => {
    const stages = await stagesWith({ inlineBytes: 20, mostSegments: 2, mergedAtCutBytes: 0 })
    await withSegments(stages, 2)
    stages.put('clicks', 's0', ...many(500, 520))
    await stages.comeToRest({ without: ['sum'] })
    await stages.control.begin('checkpoint')
    await stages.poke('clicks', 's0')
    while (await stages.takeBatch('sum', '0'));
    expect((await segments(stages)).length).toBe(3)
    // Whoever merges finds that another instance has committed in between.
    let raced = false
    const writeSegment: CheckpointStore['writeSegment'] = async (...segment) => {
      const ref = await world.checkpoints.writeSegment(...segment)
      if (!raced) {
        raced = true
        stages.put('clicks', 's0', { key: 501, n: 9 })
        await stages.takeBatch('clicks', 's0')
        await stages.takeBatch('sum', '0')
      }
      return ref
    }
    const checkpoints: CheckpointStore = Object.create(world.checkpoints, { writeSegment: { value: writeSegment } })
    await world.wait(stages.anotherInstance('sum', '0', { ...stages.ports, checkpoints }).invoke({ kind: 'poke' }))
    expect([raced, world.count('commit-lost'), world.count('compaction')]).toEqual([true, 1, 1])
    expect((await segments(stages)).filter(({ inline }) => inline === undefined).length).toBeLessThanOrEqual(2)
    stages.crash()
    await click(stages, { key: 501, n: 1 })
    expect(outside.values.at(-1)).toEqual([501, 11, 3])
  })
})
