import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import {
  defineJob,
  generatorSource,
  ndjsonFormat,
  type RunOptions,
  run,
  type S3SinkOptions,
  type Sink,
  s3Sink,
  textFormat,
  WatermarkStrategy,
} from 'millrace'
import { SinkHarness } from 'millrace/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { jsonStream, Stages, StageWorld } from '../task/stage-world.js'
import { createBucket, servers } from './wire.js'

let s3: S3Client
let bucket: string

beforeAll(() => {
  process.env.AWS_ENDPOINT_URL_S3 = servers.ministack
  s3 = new S3Client({ forcePathStyle: true })
})
afterAll(() => s3.destroy())
beforeEach(async () => {
  bucket = await createBucket(s3)
})

/** The objects' texts by their names. */
async function objects(): Promise<Map<string, string>> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket }))
  const found = new Map<string, string>()
  for (const { Key } of Contents) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key }))
    const bytes = (await Body?.transformToByteArray()) as Uint8Array
    found.set(Key as string, (Key?.endsWith('.gz') === true ? gunzipSync(bytes) : Buffer.from(bytes)).toString('utf8'))
  }
  return found
}

const linesOf = (found: ReadonlyMap<string, string>) => [...found.values()].flatMap((text) => text.trimEnd().split('\n'))

interface Event {
  readonly n: number
}
const sinkOf = (options: Partial<S3SinkOptions<Event>> = {}) =>
  s3Sink<Event>({ bucket, prefix: 'out/', format: textFormat(({ n }) => String(n)), folder: ({ n }) => `mod=${n % 2}`, ...options })

describe('an S3 sink in stages, on a real protocol', () => {
  async function started(failures: { before: number; after: number }, options: Partial<S3SinkOptions<Event>> = {}) {
    const world = new StageWorld()
    world.streams.create('events', ['s0'])
    const failing = (): Sink<Event> => {
      const sink = sinkOf(options)
      return {
        ...sink,
        createTransactor: (context) => {
          const transactor = sink.createTransactor?.(context)
          if (transactor === undefined) throw new Error('it has one')
          return {
            fence: (writer, attempt) => transactor.fence(writer, attempt),
            close: () => transactor.close?.(),
            apply: async (marker, records) => {
              if (failures.before > 0 && failures.before--) throw new Error('it does not answer')
              await transactor.apply(marker, records)
              if (failures.after > 0 && failures.after--) throw new Error('it did it and does not answer')
            },
          }
        },
      }
    }
    const define = (env: StreamExecutionEnvironment) => {
      jsonStream<Event>(env, 'events')
        .keyBy(({ n }) => n % 4)
        .map((event) => event)
        .uid('keyed')
        .sinkTo(failing())
        .uid('out')
    }
    const stages = new Stages(world, define, { parallelism: 2, batchRecords: 10 })
    await stages.activate()
    const deliver = async () => {
      for (let tries = 0; tries < 6; tries++) {
        for (const subtask of stages.subtasks('keyed')) await stages.poke('keyed', subtask).catch(() => stages.crash())
      }
    }
    return { stages, deliver }
  }

  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ n: from + i }))
  const texts = (from: number, to: number) => numbers(from, to).map(({ n }) => String(n))

  it('writes each value once, in objects of its checkpoint and folder, through deliveries that fail', async () => {
    const failures = { before: 2, after: 2 }
    const { stages, deliver } = await started(failures)
    stages.put('events', 's0', ...numbers(0, 40))
    await stages.comeToRest()
    expect((await objects()).size).toBe(0)
    await stages.checkpoint().catch(() => undefined)
    await deliver()
    expect(failures).toEqual({ before: 0, after: 0 })
    const first = await objects()
    expect(linesOf(first).sort()).toEqual(texts(0, 40).sort())
    for (const [name, text] of first) {
      expect(name).toMatch(/^out\/mod=[01]\/part-00000001-[0-9a-f]{12}-\d+\.txt$/)
      for (const line of text.trimEnd().split('\n')) expect(Number(line) % 2).toBe(Number(/mod=(\d)/.exec(name)?.[1]))
    }
    stages.put('events', 's0', ...numbers(40, 60))
    await stages.comeToRest()
    await stages.checkpoint()
    await deliver()
    const second = await objects()
    for (const [name, text] of first) expect(second.get(name)).toBe(text)
    expect(linesOf(second).sort()).toEqual(texts(0, 60).sort())
  })

  it('shows each value once, too, when a checkpoint is restored behind which there was more', async () => {
    const { stages, deliver } = await started({ before: 0, after: 0 }, { gzip: true, maxObjectBytes: 20 })
    stages.put('events', 's0', ...numbers(0, 30))
    await stages.comeToRest()
    const ref = await stages.checkpoint()
    stages.put('events', 's0', ...numbers(30, 50))
    await stages.comeToRest()
    await stages.activate({ from: ref })
    await stages.checkpoint()
    await deliver()
    const found = await objects()
    expect(linesOf(found).sort()).toEqual(texts(0, 50).sort())
    expect([...found.keys()].every((name) => name.endsWith('.txt.gz'))).toBe(true)
    // Rolled by size.
    expect(Math.max(...[...found.values()].map(({ length }) => length))).toBeLessThanOrEqual(22)
  })
})

describe('an S3 sink in one process, on a real protocol', () => {
  it('shows objects when their checkpoint has completed, also when it is told so twice', async () => {
    const sink = await SinkHarness.open(sinkOf({ maxObjectBytes: 8 }))
    for (let n = 0; n < 20; n++) sink.write({ n })
    const snapshot = await sink.checkpoint(1)
    expect((await objects()).size).toBe(0)
    await sink.complete(1)
    const first = await objects()
    expect(
      linesOf(first)
        .map(Number)
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 20 }, (_, n) => n))
    // A restart does not know that they have been completed.
    const again = await SinkHarness.open(sinkOf(), { restored: snapshot })
    expect(await objects()).toEqual(first)
    again.write({ n: 20 })
    await again.finish()
    expect(linesOf(await objects())).toHaveLength(21)
    // One that is closed leaves nothing behind that no checkpoint has.
    const third = await SinkHarness.open(sinkOf({ maxObjectBytes: 1 }))
    third.write({ n: 21 })
    await third.close()
    expect(linesOf(await objects())).toHaveLength(21)
    expect((await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? []).toEqual([])
  })

  it('refuses a checkpoint whose uploads are gone', async () => {
    const lost = { checkpointId: 1, committables: [{ key: 'out/x', uploadId: 'none', etag: '"e"', bytes: 3 }], writerStates: [] }
    await expect(SinkHarness.open(sinkOf(), { restored: lost })).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' })
  })

  it('has every value of a job once, through a failure and a restart', async () => {
    let failed = false
    const job = defineJob('numbers', (env) => {
      env
        .fromSource(generatorSource({ count: 1_000, generate: (n) => ({ n }), ratePerSecond: 2_000 }), WatermarkStrategy.noWatermarks())
        .map((event) => {
          if (event.n === 700 && !failed) {
            failed = true
            throw new Error('by chance')
          }
          return event
        })
        .sinkTo(s3Sink({ bucket: 'results', format: ndjsonFormat(), gzip: true }))
    })
    const folder = await mkdtemp(join(tmpdir(), 'millrace-s3-'))
    try {
      const options: RunOptions = {
        checkpointDir: folder,
        checkpointIntervalMs: 50,
        restartStrategy: { kind: 'fixed-delay', attempts: 3, delayMs: 0 },
      }
      await (await run(job, { threads: 0, parallelism: 2, bindings: { results: bucket }, ...options })).result()
      expect(failed).toBe(true)
      const found = linesOf(await objects()).map((line) => (JSON.parse(line) as Event).n)
      expect(found.sort((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, n) => n))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('says that there is no such bucket', async () => {
    const sink = await SinkHarness.open(sinkOf({ bucket: 'nowhere-at-all' }))
    sink.write({ n: 1 })
    await expect(sink.checkpoint(1)).rejects.toMatchObject({ code: 'AWS_CALL', message: expect.stringContaining('--bind') })
  })
})

describe('options', () => {
  it.each([
    [{ bucket: '' }, 'no bucket'],
    [{ format: undefined as never }, 'no format'],
    [{ prefix: '/x' }, 'prefix is'],
    [{ maxObjectBytes: 0 }, 'maxObjectBytes is 0'],
    [{ maxObjectBytes: 2 ** 31 }, 'maxObjectBytes'],
  ] as const)('refuses %j', (options, what) => {
    expect(() => sinkOf(options)).toThrow(new RegExp(`OPTION_INVALID.*${what}`))
  })

  it.each(['/a', 'a/', 'a//b', 'a\nb'])('refuses the folder %j', async (folder) => {
    const sink = await SinkHarness.open(sinkOf({ folder: () => folder }))
    expect(() => sink.write({ n: 1 })).toThrow(/RECORD_UNSERIALISABLE.*folder/)
  })
})
