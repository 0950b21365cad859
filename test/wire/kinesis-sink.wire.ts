import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { defineJob, generatorSource, kinesisSink, run, WatermarkStrategy } from 'millrace'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import ipCount from '../../examples/ip-count/job.js'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { deaggregate } from '../../runtime/connectors/kinesis/aggregated-record.js'
import { exampleFile } from '../examples/run-example.js'
import { until } from '../local/run-job.js'
import { jsonStream, Stages, StageWorld } from '../task/stage-world.js'
import { recordsOf, shardsOf } from './kinesis-shards.js'
import { createStream, servers } from './wire.js'

const MILLRACE = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

let kinesis: KinesisClient

beforeAll(() => {
  process.env.AWS_ENDPOINT_URL_KINESIS = servers.kinesis
  kinesis = new KinesisClient({ requestHandler: new NodeHttpHandler() })
})
afterAll(() => kinesis.destroy())

/** The records of the stream by key, in their order. */
async function contents(stream: string): Promise<Map<string, unknown[]>> {
  const found = new Map<string, unknown[]>()
  for (const { ShardId } of await shardsOf(kinesis, stream)) {
    for (const { PartitionKey, Data } of await recordsOf(kinesis, stream, ShardId as string)) {
      const key = PartitionKey as string
      found.set(key, [...(found.get(key) ?? []), JSON.parse(new TextDecoder().decode(Data))])
    }
  }
  return found
}

/** What records hold, aggregated or not, as text, by the key of each. */
async function linesByKey(stream: string): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>()
  for (const { ShardId } of await shardsOf(kinesis, stream)) {
    for (const { PartitionKey = '', Data = new Uint8Array() } of await recordsOf(kinesis, stream, ShardId as string)) {
      for (const { partitionKey, data } of deaggregate(Data) ?? [{ partitionKey: PartitionKey, data: Data }]) {
        found.set(partitionKey, [...(found.get(partitionKey) ?? []), new TextDecoder().decode(data)])
      }
    }
  }
  return found
}

describe('a Kinesis sink, on a real protocol', () => {
  it('puts the results of a job in one process, each key in order', async () => {
    const stream = await createStream(kinesis, 2)
    const job = defineJob('squares', (env) => {
      env
        .fromSource(generatorSource({ count: 300, generate: (n) => n }), WatermarkStrategy.noWatermarks())
        .setParallelism(1)
        .keyBy((n) => n % 5)
        .map((n) => ({ key: `k${n % 5}`, n }))
        .sinkTo(kinesisSink({ stream: 'squares', partitionKey: ({ key }) => key }))
    })
    await (await run(job, { threads: 0, parallelism: 2, bindings: { squares: stream } })).result()
    const found = await contents(stream)
    for (let k = 0; k < 5; k++) expect(found.get(`k${k}`)).toEqual(Array.from({ length: 60 }, (_, i) => ({ key: `k${k}`, n: i * 5 + k })))
  })

  it('puts what commits have in stages, and again what was not known to have arrived', async () => {
    const stream = await createStream(kinesis, 2)
    const world = new StageWorld()
    world.streams.create('events', ['s0'])
    const define = (env: StreamExecutionEnvironment) => {
      jsonStream<{ key: string; n: number }>(env, 'events')
        .keyBy(({ key }) => key)
        .map((event) => event)
        .uid('keyed')
        .sinkTo(kinesisSink({ stream, partitionKey: ({ key }) => key }))
        .uid('out')
    }
    const stages = new Stages(world, define, { parallelism: 2, batchRecords: 10 })
    await stages.activate()
    const events = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ key: `k${(from + i) % 3}`, n: from + i }))
    stages.put('events', 's0', ...events(0, 30))
    await stages.comeToRest()
    // The function ends between the commit and its delivery: the acknowledged position of its batch stays where it was.
    let crashed = false
    world.fault = ({ port, operation, key }) => {
      if (crashed || port !== 'log' || operation !== 'append' || !key.includes('keyed')) return undefined
      crashed = true
      return { kind: 'throw-after' }
    }
    stages.put('events', 's0', ...events(30, 60))
    await stages.comeToRest({ tries: 3 })
    expect(crashed).toBe(true)
    const found = await contents(stream)
    for (let k = 0; k < 3; k++) expect(found.get(`k${k}`)).toEqual(events(0, 60).filter(({ n }) => n % 3 === k))
  })
})

describe('millrace pipe, on a real protocol', () => {
  function pipe(...words: string[]) {
    const child = spawn(process.execPath, [MILLRACE, 'pipe', ...words], { stdio: ['pipe', 'ignore', 'pipe'], env: process.env })
    let stderr = ''
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk)
    })
    const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => child.on('close', (code) => resolve({ code, stderr })))
    return { child, ended }
  }

  it.each([
    ['aggregated', ['--aggregate', '--partition-key', 'constant:log']],
    ['by client', ['--partition-key', 'field:1', '--aggregate']],
  ])('carries an access log to ip-count (%s)', async (how, words) => {
    const stream = await createStream(kinesis, how === 'by client' ? 2 : 1)
    const log = exampleFile('ip-count/access.log')
    const { code, stderr } = await pipe('--stream', stream, '--file', log, ...words).ended
    expect(stderr).toContain(`2,897 lines`)
    expect(code).toBe(0)
    if (how === 'by client') {
      // Clients come apart, so the whole log's order is gone, but nothing of it, nor a client's order.
      const sent = new Map<string, string[]>()
      for (const [at, line] of readFileSync(log, 'utf8').trimEnd().split('\n').entries()) {
        const client = line.trim().split(/\s+/)[0] || `line ${at + 1}`
        sent.set(client, [...(sent.get(client) ?? []), line])
      }
      expect(await linesByKey(stream)).toEqual(sent)
      const { child, ended } = pipe('--stream', stream, '--stdin', '--quiet')
      child.stdin.end()
      expect(await ended).toEqual({ code: 0, stderr: expect.not.stringContaining('millrace:') })
      return
    }
    const folder = await mkdtemp(join(tmpdir(), 'millrace-pipe-'))
    const parameters = ['--kinesis', 'accessLog', '--output', join(folder, 'out.jsonl'), '--malformed', join(folder, 'malformed.jsonl')]
    const options = { checkpointDir: join(folder, 'checkpoints'), checkpointIntervalMs: 200 }
    const handle = await run(ipCount, { threads: 0, parallelism: 2, parameters, bindings: { accessLog: stream }, ...options })
    const counted = async () => (await handle.metrics()).operators.find(({ name }) => name === 'parse')?.counters.lines
    await expect.poll(counted, { timeout: 60_000, interval: 50 }).toBe(2_897)
    await handle.stop({ drain: true })
    const lines = (file: string) => readFileSync(file, 'utf8').trim().split('\n').sort()
    expect(lines(join(folder, 'out.jsonl'))).toEqual(lines(exampleFile('ip-count/expected.jsonl')))
    await rm(folder, { recursive: true, force: true })
  })

  it('ends with a signal when it has sent what it has read', async () => {
    const stream = await createStream(kinesis, 1)
    const { child, ended } = pipe('--stream', stream, '--stdin', '--partition-key', 'constant:k')
    child.stdin.write('1\n2\n3\nhal')
    let found = new Map<string, unknown[]>()
    const deadline = Date.now() + 20_000
    while ((found.get('k')?.length ?? 0) < 3 && Date.now() < deadline) found = await contents(stream)
    child.kill('SIGINT')
    const { code, stderr } = await ended
    expect(stderr).toContain('3 lines')
    expect(code).toBe(130)
    expect((await contents(stream)).get('k')).toEqual([1, 2, 3])
    await until(() => child.exitCode !== null)
  })

  it('says that there is no such stream', async () => {
    const { child, ended } = pipe('--stream', 'nowhere', '--stdin')
    child.stdin.end('a\n')
    const { code, stderr } = await ended
    expect(stderr).toMatch(/AWS_CALL: PutRecords failed with ResourceNotFoundException/)
    expect(code).toBe(1)
  })
})
