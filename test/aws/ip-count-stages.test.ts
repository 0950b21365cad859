import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import ipCount from '../../examples/ip-count/job.js'
import { parseAccess } from '../../examples/ip-count/parse-access.js'
import { MemoryBlobStore } from '../../runtime/backends/memory/index.js'
import { CheckpointStore, readKeyedState } from '../../runtime/checkpoint/index.js'
import { planRestore } from '../../runtime/checkpoint/restore-plan.js'
import { type CommitRecord, decodeCommit } from '../../runtime/task/commit-record.js'
import { exampleFile } from '../examples/run-example.js'
import { writeTo } from '../write-to.js'
import { Deployed } from './deployed.js'
import { AwsImitation } from './imitation.js'

const LOG = readFileSync(exampleFile('ip-count/access.log'), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
const EXPECTED = readFileSync(exampleFile('ip-count/expected.jsonl'), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .sort()
/** An access long after the last of the log: its watermark fires every window of the log, and its own stays open. */
const LAST_WORD = '10.0.0.1 4000000000000 GET / 200 1'

const COMMIT = /^ip-count\/1\/[^#]+ v/

let aws: AwsImitation
let printed: string
let complained: string

beforeEach(() => {
  aws = new AwsImitation()
  printed = ''
  complained = ''
  vi.spyOn(process.stdout, 'write').mockImplementation(writeTo((text) => (printed += text)))
  vi.spyOn(process.stderr, 'write').mockImplementation(writeTo((text) => (complained += text)))
})

afterEach(() => {
  aws.restore()
  vi.restoreAllMocks()
})

/** Windows as they were printed, without the number of the subtask that print() puts before them. */
function windows(): string[] {
  return printed
    .split('\n')
    .filter((line) => line.includes('"count"'))
    .map((line) => line.slice(line.indexOf('{')))
    .sort()
}

/** How many of these lines are in windows of 5 s that have not fired by then, with a second of out-of-orderness. */
function openBehind(lines: readonly string[]): number {
  const times = lines.flatMap((line) => {
    const parsed = parseAccess(line)
    return parsed.ok ? [parsed.access.timestampMs] : []
  })
  const over = Math.max(...times) - 1_000
  return times.filter((time) => Math.floor(time / 5_000) * 5_000 + 5_000 > over).length
}

async function deploy(parallelism = 1): Promise<Deployed> {
  const deployed = await Deployed.active(aws, ipCount, ['--kinesis', 'access-log'], parallelism)
  // What the activation pokes for, and the calls that it took.
  await deployed.deliverMessages()
  aws.calls.length = 0
  aws.produce(deployed.stream(deployed.sourceStage), 0, [...LOG, LAST_WORD])
  return deployed
}

/** What stands in the logs of subtasks. */
function commits(): CommitRecord[] {
  return [...aws.items.values()]
    .filter(({ pk, sk }) => COMMIT.test(`${pk} ${sk}`))
    .map(({ pk, sk, payload }) => decodeCommit(pk, { version: Number(sk.slice(1)), payload }))
}

function logPuts(): number {
  return aws.calls.filter(({ call, on }) => call === 'PutItem' && COMMIT.test(on)).length
}

describe('ip-count in stages', () => {
  it.each([
    [1, 500],
    [2, 97],
    [3, 10_000],
  ])('counts what the embedded engine counts, at parallelism %i in batches of %i', async (parallelism, batchSize) => {
    const deployed = await deploy(parallelism)
    const before = commits().length
    await deployed.run(batchSize)
    expect(windows()).toEqual(EXPECTED)
    expect(complained.match(/malformed line/g)).toHaveLength(12)
    // Each batch brought something new, so each invocation has put once, and only once.
    expect(logPuts()).toBe(deployed.invocations)
    expect(commits().length - before).toBe(deployed.invocations)
  })

  it('asks for what it missed once an invocation, and writes to S3 only what is large', async () => {
    const deployed = await deploy()
    await deployed.run(3_000)
    expect(aws.count('Query')).toBe(deployed.invocations)
    expect(aws.count('PutObject')).toBeGreaterThan(0)
    for (const [key, bytes] of aws.objects) {
      expect(key).toMatch(/^log\/ip-count\/1\//)
      // A commit's parts are judged together, and its small ones (256 bytes at most) stay in the item all the same.
      expect(bytes.length).toBeGreaterThan(8 * 1024 - 4 * 256)
    }
    for (const { payload } of aws.items.values()) expect(payload.length).toBeLessThan(40 * 1024)
  })

  it('counts the same when every invocation starts cold', async () => {
    const deployed = await deploy(2)
    const { graph } = deployed.plan
    for (let busy = true; busy; ) {
      busy = false
      for (const { id, parallelism } of graph.vertices) {
        for (let shard = 0; shard < parallelism; shard++) {
          if (await deployed.invokeNext(id, shard, 250, deployed.coldInstance(id))) busy = true
        }
      }
    }
    expect(windows()).toEqual(EXPECTED)
    // Each instance went on where the log ended: none had to write the whole state.
    for (const { base } of commits()) expect(base).toMatchObject({ version: 1, state: null })
  })

  it('sends the same again and processes nothing when a batch comes again', async () => {
    const deployed = await deploy(2)
    const source = deployed.sourceStage
    const batch = aws.event(deployed.stream(source), 0, aws.shard(deployed.stream(source), 0).slice(0, 400))
    await deployed.instance(source)(batch)
    const count = deployed.plan.graph.vertices.find(({ id }) => id === 'count')?.id as string
    const sentOnce = [0, 1].map((shard) => aws.shard(deployed.stream(count), shard).map(({ data }) => Buffer.from(data)))
    const itemsBefore = aws.items.size

    // The instance that sent it knows; another sends the very same frames.
    await deployed.instance(source)(batch)
    expect(aws.shard(deployed.stream(count), 0)).toHaveLength(sentOnce[0].length)
    await deployed.coldInstance(source)(batch)
    expect(aws.items.size).toBe(itemsBefore)
    for (const shard of [0, 1]) {
      const frames = aws.shard(deployed.stream(count), shard).map(({ data }) => Buffer.from(data))
      expect(frames).toEqual([...sentOnce[shard], ...sentOnce[shard]])
    }

    // The stage behind drops what it has seen, and the results stay right.
    await deployed.run(300)
    expect(windows()).toEqual(EXPECTED)
    const items = aws.items.size
    const frames = aws.shard(deployed.stream(count), 0).map((record, index) => ({ ...record, sequence: (1n << 200n) + BigInt(index) }))
    // It commits that it has them behind it, once.
    for (let times = 0; times < 2; times++) {
      expect(await deployed.coldInstance(count)(aws.event(deployed.stream(count), 0, frames))).toEqual({ batchItemFailures: [] })
      expect(aws.items.size).toBe(items + 1)
    }
    expect(windows()).toEqual(EXPECTED)
  })

  it('reads the log again after a lost put, and counts each line once', async () => {
    const deployed = await deploy(2)
    const source = deployed.sourceStage
    await deployed.invokeNext(source, 0, 100)
    // While the warm instance is about to commit the next batch, a zombie commits the same one.
    let zombie = true
    aws.beforePutItem = async (pk) => {
      if (!zombie || !pk.includes(`/${source}/`)) return
      zombie = false
      const records = aws.shard(deployed.stream(source), 0).slice(100, 150)
      await deployed.coldInstance(source)(aws.event(deployed.stream(source), 0, records))
    }
    const log = `/${source}/shardId-000000000000 v`
    const before = aws.count('PutItem', log)
    await deployed.invokeNext(source, 0, 100)
    // The zombie's, the lost one, and the rest of the batch that the zombie did not have.
    expect(aws.count('PutItem', log) - before).toBe(3)
    await deployed.run(300)
    expect(windows()).toEqual(EXPECTED)
  })

  it('takes a put that succeeded but was reported as failed for what it is', async () => {
    const deployed = await deploy()
    let failures = 0
    aws.afterPutItem = (pk) => {
      if (pk.includes('#') || failures === 5) return
      failures++
      throw Object.assign(new Error('socket hang up'), { name: 'TimeoutError' })
    }
    await deployed.run(300)
    expect(failures).toBe(5)
    expect(deployed.failures.map(({ code }) => code)).toEqual(Array.from({ length: 5 }, () => 'AWS_CALL'))
    expect(windows()).toEqual(EXPECTED)
  })

  it('sends refused frames again, in their order', async () => {
    const deployed = await deploy(2)
    let refusals = 0
    aws.refuseRecords = (_stream, count) => (refusals++ % 3 === 0 ? [count - 1] : [])
    await deployed.run(500)
    expect(refusals).toBeGreaterThan(10)
    expect(windows()).toEqual(EXPECTED)
  })

  it('cuts every subtask at a barrier: one snapshot each, and a manifest that restores', async () => {
    const deployed = await deploy(2)
    const { graph } = deployed.plan
    const source = deployed.sourceStage
    for (let i = 0; i < 10; i++) await deployed.invokeNext(source, 0, 100)
    const checkpointId = await deployed.beginCheckpoint()
    expect(checkpointId).toBe(1)
    const poll = () => deployed.poll(checkpointId)
    expect(await deployed.control({ step: 'begin', input: {} })).toEqual({ status: 'begun', checkpointId })
    expect(await deployed.control({ step: 'begin', input: { kind: 'savepoint' } })).toMatchObject({ status: 'refused' })
    await deployed.deliverMessages()
    expect(await poll()).toMatchObject({ status: 'pending', acknowledged: 1 })
    // Data behind the barrier is on its way before the stages behind have seen it.
    await deployed.invokeNext(source, 0, 100)
    for (const { id, parallelism } of graph.vertices.slice(1)) {
      for (let shard = 0; shard < parallelism; shard++) while (await deployed.invokeNext(id, shard, 7));
    }
    expect(await poll()).toMatchObject({ status: 'completed', path: 's3://bucket/checkpoints/ip-count/chk-1' })
    expect(await poll()).toMatchObject({ status: 'completed' })

    const prefix = 'checkpoints/ip-count/'
    const snapshots = aws.calls.filter(({ call, on }) => call === 'PutObject' && on.startsWith(`${prefix}shared/`))
    // What is small stands in the log and in the manifest.
    expect(snapshots).toEqual([])
    const store = await copyOf(prefix)
    expect(await store.list()).toMatchObject([{ id: 1, kind: 'checkpoint', job: 'ip-count' }])
    const manifest = await store.load(1)
    expect(manifest.operators.map(({ uid }) => uid)).toEqual(graph.vertices.flatMap(({ operators }) => operators.map(({ uid }) => uid)))
    expect(manifest.operators[0].subtasks[0].operatorState).toEqual([
      { splitId: 'shardId-000000000000', position: String(aws.shard(deployed.stream(source), 0)[999].sequence), successors: [], ended: false },
    ])

    // The counts of the open windows are those of the first 1,000 lines.
    const plan = planRestore(
      manifest,
      'ip-count',
      graph.vertices.flatMap(({ operators, parallelism, maxParallelism }) => operators.map(({ uid }) => ({ uid, parallelism, maxParallelism }))),
    )
    let open = 0
    for (const { keyed: shares } of plan.operators.get('count')?.subtasks ?? []) {
      for (const segment of await readKeyedState(shares, (ref) => store.readSegment(ref))) {
        for (const { block } of segment.blocks(0, 127)) {
          if (segment.header.states[block.state].kind !== 'timers') open += (block.values as number[]).reduce((sum, n) => sum + n, 0)
        }
      }
    }
    expect(open).toBe(openBehind(LOG.slice(0, 1_000)))
    expect(open).toBeGreaterThan(0)

    // The checkpoint is the base that cold instances start from, and nothing is lost or counted twice.
    deployed.forgetInstances()
    await deployed.run(300)
    expect(windows()).toEqual(EXPECTED)
  })

  async function copyOf(prefix: string): Promise<CheckpointStore> {
    const blobs = new MemoryBlobStore()
    for (const [key, bytes] of aws.objects) if (key.startsWith(prefix)) await blobs.put(key.slice(prefix.length), bytes)
    return new CheckpointStore(blobs)
  }
})
