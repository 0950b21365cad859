import { beforeEach, describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { ZlibCompression } from '../../runtime/backends/node/index.js'
import { valueState } from '../../runtime/index.js'
import type { Compression } from '../../runtime/ports/index.js'
import type { PortCall } from '../../runtime/testing/faulty-ports.js'
import { jsonStream, Outside, Stages, StageWorld, thrownBy } from './stage-world.js'

interface Click {
  readonly user: string
  readonly n: number
  readonly text: string
}

let world: StageWorld
let outside: Outside
let stages: Stages

const define = (env: StreamExecutionEnvironment) => {
  jsonStream<Click>(env, 'clicks')
    .keyBy(({ user }) => user)
    .process({
      state: { last: valueState<Click & { padding: string }>() },
      processElement(click, { state }, out: { collect(value: unknown): void }) {
        out.collect({ n: click.n, before: state.last.value()?.n ?? null })
        state.last.update({ ...click, padding: 'x'.repeat(100) })
      },
    })
    .uid('last')
    .sinkTo(outside.sink())
    .uid('out')
}

function chained(from: number, to: number) {
  return Array.from({ length: to - from }, (_, i) => ({ n: from + i, before: from + i === 0 ? null : from + i - 1 }))
}

function clicks(from: number, to: number): Click[] {
  return Array.from({ length: to - from }, (_, i) => ({ user: 'ann', n: from + i, text: 'to be compressed '.repeat(100) }))
}

async function begin(compression?: Compression): Promise<void> {
  world = new StageWorld()
  world.compression = compression
  world.streams.create('clicks', ['s0'])
  outside = new Outside()
  // Everything but the smallest parts stands in blobs.
  stages = await Stages.activated(world, define, { settings: { inlineBytes: 50 } })
  stages.put('clicks', 's0', ...clicks(0, 3))
  await stages.comeToRest()
}

beforeEach(() => begin())

/** Sends more to the inner stage, which is cold. */
async function moreIsSent(): Promise<void> {
  stages.put('clicks', 's0', ...clicks(3, 5))
  await stages.takeBatch('clicks', 's0')
  stages.crash()
}

async function expectUntouched(acknowledged: number, version: number): Promise<void> {
  expect(stages.acknowledged('last', '0')).toBe(acknowledged)
  expect((await stages.head('last', '0')).version).toBe(version)
  expect(outside.values).toEqual(chained(0, 3))
}

describe('a blob that is missing', () => {
  /** Reads of it give nothing; `times` of them. */
  function missing(port: string, times: number): { readonly names: Set<string> } {
    const names = new Set<string>()
    let left = times
    world.fault = (call: PortCall) => {
      if (call.port !== port || call.operation !== 'get' || left-- <= 0) return undefined
      names.add(call.key)
      return { kind: 'missing' }
    }
    return { names }
  }

  it('once: the batch comes again and goes on', async () => {
    await moreIsSent()
    const { version } = await stages.head('last', '0')
    missing('parts', 1)
    expect(await thrownBy(stages.takeBatch('last', '0'))).toMatchObject({ code: 'LOG_CORRUPT' })
    await expectUntouched(1, version)
    await stages.comeToRest()
    expect(outside.values).toEqual(chained(0, 5))
  })

  it('for good: the error names log, version and blob, at each try, and nothing is committed', async () => {
    await moreIsSent()
    const { version } = await stages.head('last', '0')
    const { names } = missing('parts', Number.POSITIVE_INFINITY)
    for (let attempt = 0; attempt < 3; attempt++) {
      const error = await thrownBy(stages.takeBatch('last', '0'))
      expect(error.code).toBe('LOG_CORRUPT')
      expect(error.message).toContain(stages.logName('last', '0'))
      expect([...names].some((name) => error.message.includes(name) && error.message.includes('is missing'))).toBe(true)
      expect(error.message).toContain('what to do: Nothing but this job may write to its table and bucket. Restore the job from its last checkpoint.')
      await expectUntouched(1, version)
    }
  })

  it('of the state at the last checkpoint, for good: CHECKPOINT_CORRUPT names it; an older checkpoint goes on', async () => {
    const older = await stages.checkpoint()
    stages.put('clicks', 's0', ...clicks(3, 5))
    await stages.comeToRest()
    await stages.checkpoint()
    stages.crash()
    stages.put('clicks', 's0', ...clicks(5, 6))
    await stages.takeBatch('clicks', 's0')
    const { version } = await stages.head('last', '0')
    const segments = (await stages.base('last', '0')).keyed.get('last') ?? []
    const { name } = segments[segments.length - 1]
    await world.blobs.delete(name)
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await thrownBy(stages.takeBatch('last', '0'))
      expect(error.code).toBe('CHECKPOINT_CORRUPT')
      expect(error.message).toContain(name)
      expect((await stages.head('last', '0')).version).toBe(version)
    }
    expect(outside.values).toEqual(chained(0, 5))
    await stages.activate({ from: older })
    expect(outside.values).toEqual([...chained(0, 5), ...chained(3, 6)])
  })

  it('of the state, once: the batch comes again and goes on', async () => {
    await stages.checkpoint()
    await moreIsSent()
    missing('checkpoints', 1)
    expect(await thrownBy(stages.takeBatch('last', '0'))).toMatchObject({ code: 'CHECKPOINT_CORRUPT' })
    await stages.comeToRest()
    expect(outside.values).toEqual(chained(0, 5))
  })

  it('of an outbox that is to be sent again: nothing is sent by halves, nothing committed behind it', async () => {
    stages.put('clicks', 's0', ...clicks(3, 5))
    world.fault = ({ port, operation }) => (port === 'channel' && operation === 'send' ? { kind: 'throw-before' } : undefined)
    await expect(stages.takeBatch('clicks', 's0')).rejects.toMatchObject({ code: 'AWS_CALL' })
    stages.crash()
    const { version, outbox } = await stages.head('clicks', 's0')
    const { name } = outbox as { name: string }
    missing('parts', 2)
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await thrownBy(stages.takeBatch('clicks', 's0'))
      expect(error).toMatchObject({ code: 'LOG_CORRUPT' })
      expect(error.message).toContain(name)
    }
    expect((await stages.head('clicks', 's0')).version).toBe(version)
    await stages.comeToRest()
    expect(outside.values).toEqual(chained(0, 5))
  })

  it('a damaged one is told from a missing one', async () => {
    await moreIsSent()
    const parts = (await stages.commits('last', '0')).flatMap(({ deltas }) => deltas.map(([, part]) => part))
    const { name } = parts[0] as { name: string }
    const bytes = (await world.parts.get(name)) as Uint8Array
    await world.parts.delete(name)
    await world.parts.put(
      name,
      bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 1 : byte)),
    )
    const error = await thrownBy(stages.takeBatch('last', '0'))
    expect(error.code).toBe('LOG_CORRUPT')
    expect(error.message).toContain(`its part ${name} is damaged`)
    expect(outside.values).toEqual(chained(0, 3))
  })
})

describe.each([
  ['plain', undefined],
  ['compressed', new ZlibCompression()],
])('a frame that is damaged (%s)', (_, compression) => {
  beforeEach(() => begin(compression))

  it('is the size that it should be', () => {
    const [{ data }] = world.streams.stream('job/1/last').records('0')
    expect(data.length < 1_000).toBe(compression !== undefined)
  })

  /** What is in the stream of the inner stage from here on, with a bit of one byte changed. */
  function damage(at: (length: number) => number) {
    const records = world.streams.stream('job/1/last').records('0')
    const { data, ...record } = records[records.length - 1]
    const bytes = data.slice()
    bytes[at(bytes.length)] ^= 0x10
    return { ...record, data: bytes }
  }

  it.each([
    ['in its last byte', (length: number) => length - 1],
    ['in the middle', (length: number) => length >> 1],
    ['in its head', () => 5],
    ['in its first byte', () => 0],
  ])('%s is FRAME_CORRUPT: the batch is not acknowledged, the state untouched', async (_, at) => {
    await moreIsSent()
    const { version } = await stages.head('last', '0')
    const damaged = damage(at)
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await thrownBy(stages.invoke('last', '0', { kind: 'batch', records: [damaged] }))
      expect(error.code).toBe('FRAME_CORRUPT')
      expect(error.message).toContain(`record ${damaged.position} of subtask 0`)
      expect(error.message).toContain('what to do:')
      await expectUntouched(1, version)
    }
    await stages.comeToRest()
    expect(outside.values).toEqual(chained(0, 5))
  })

  it('behind good ones in a batch: none of them is committed twice', async () => {
    for (const click of clicks(3, 6)) {
      stages.put('clicks', 's0', click)
      await stages.takeBatch('clicks', 's0')
    }
    const good = world.streams.stream('job/1/last').records('0').slice(1)
    const damaged = damage((length) => length - 1)
    await thrownBy(stages.invoke('last', '0', { kind: 'batch', records: [...good.slice(0, 2), damaged] }))
    await stages.comeToRest()
    expect(outside.values).toEqual(chained(0, 6))
  })

  it('cut short, or of no bytes at all', async () => {
    await moreIsSent()
    const records = world.streams.stream('job/1/last').records('0')
    const frame = records[records.length - 1]
    for (const length of [0, 1, 3, frame.data.length >> 1, frame.data.length - 1]) {
      const call = stages.invoke('last', '0', { kind: 'batch', records: [{ ...frame, data: frame.data.subarray(0, length) }] })
      expect(await thrownBy(call)).toMatchObject({ code: 'FRAME_CORRUPT' })
    }
    await stages.comeToRest()
    expect(outside.values).toEqual(chained(0, 5))
  })
})

describe('an item of a log that is damaged', () => {
  /** Reads of this log give items with another bit in one byte; `hit` says of which. */
  function damageItems(log: string, hit: (version: number) => boolean): void {
    const read = world.log.read.bind(world.log)
    const head = world.log.head.bind(world.log)
    const damaged = <I extends { readonly version: number; readonly payload: Uint8Array }>(name: string, item: I): I => {
      if (name !== log || !hit(item.version)) return item
      return { ...item, payload: item.payload.map((byte, at) => (at === item.payload.length >> 1 ? byte ^ 4 : byte)) }
    }
    world.log.read = async (name, after) => {
      const { items, control } = await read(name, after)
      return { items: items.map((item) => damaged(name, item)), control }
    }
    world.log.head = async (name) => {
      const { item, control } = await head(name)
      return { item: item && damaged(name, item), control }
    }
  }

  it.each(['the newest', 'one of the tail'])('%s: LOG_CORRUPT names log and version, nothing is committed or acknowledged', async (which) => {
    stages.put('clicks', 's0', ...clicks(3, 4))
    await stages.comeToRest()
    stages.put('clicks', 's0', ...clicks(4, 5))
    await stages.takeBatch('clicks', 's0')
    stages.crash()
    const { version } = await stages.head('last', '0')
    const bad = which === 'the newest' ? version : version - 1
    const log = stages.logName('last', '0')
    const healthy = { read: world.log.read.bind(world.log), head: world.log.head.bind(world.log) }
    damageItems(log, (v) => v === bad)
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await thrownBy(stages.takeBatch('last', '0'))
      expect(error.code).toBe('LOG_CORRUPT')
      expect(error.message).toContain(`log ${log}, version ${bad}`)
    }
    Object.assign(world.log, healthy)
    expect((await stages.head('last', '0')).version).toBe(version)
    expect(outside.values).toEqual(chained(0, 4))
    await stages.comeToRest()
    expect(outside.values).toEqual(chained(0, 5))
  })

  it('a warm instance that catches up does not take it over either', async () => {
    const warm = stages.anotherInstance('last', '0')
    await warm.invoke({ kind: 'poke' })
    stages.put('clicks', 's0', ...clicks(3, 4))
    await stages.comeToRest()
    const { version } = await stages.head('last', '0')
    const healthy = { read: world.log.read.bind(world.log), head: world.log.head.bind(world.log) }
    damageItems(stages.logName('last', '0'), (v) => v === version)
    expect(await thrownBy(warm.invoke({ kind: 'poke' }))).toMatchObject({ code: 'LOG_CORRUPT' })
    Object.assign(world.log, healthy)
    stages.put('clicks', 's0', ...clicks(4, 5))
    await stages.takeBatch('clicks', 's0')
    const frames = world.streams.stream('job/1/last').records('0')
    await warm.invoke({ kind: 'batch', records: frames.slice(-1) })
    expect(outside.values).toEqual(chained(0, 5))
  })

  it('one that is gone from the tail is named', async () => {
    stages.put('clicks', 's0', ...clicks(3, 4))
    await stages.comeToRest()
    await moreIsSent()
    const { version } = await stages.head('last', '0')
    const read = world.log.read.bind(world.log)
    const log = stages.logName('last', '0')
    world.log.read = async (name, after) => {
      const found = await read(name, after)
      return name === log ? { ...found, items: found.items.filter((item) => item.version !== version - 1) } : found
    }
    const error = await thrownBy(stages.takeBatch('last', '0'))
    expect(error.code).toBe('LOG_CORRUPT')
    expect(error.message).toContain(`log ${log}, version ${version - 1}`)
    expect(error.message).toContain('it is missing')
  })
})
