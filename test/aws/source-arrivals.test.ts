import { KinesisClient } from '@aws-sdk/client-kinesis'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DeployedControl } from '../../functions/deployed-control.js'
import { arrivalsBehind } from '../../functions/source-arrivals.js'
import { KinesisSourceStreams } from '../../runtime/backends/aws/index.js'
import type { Manifest } from '../../runtime/checkpoint/index.js'
import type { SplitState } from '../../runtime/checkpoint/split-restore.js'
import { aManifest, anOperator } from '../checkpoint/manifests.js'
import { joinGraph } from '../task/job-world.js'
import { AwsImitation } from './imitation.js'

const BEGIN = 1_800_000_000_000
const STREAM = 'stack-left'

let aws: AwsImitation

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: BEGIN })
  aws = new AwsImitation()
  aws.createStream(STREAM, 3)
})
afterEach(() => {
  aws.restore()
  vi.useRealTimers()
})

const shardId = (index: number) => `shardId-${String(index).padStart(12, '0')}`

/** Seconds behind the beginning at which a record comes to each of these shards. */
function produce(records: readonly (readonly [seconds: number, shard: number])[]): void {
  for (const [seconds, shard] of records) {
    vi.setSystemTime(BEGIN + seconds * 1_000)
    aws.produce(STREAM, shard, ['x'])
  }
}

/** A split of which so many records count. */
function counted(shard: number, records: number, ended = false): SplitState {
  const last = aws.shard(STREAM, shard)[records - 1]
  return { splitId: shardId(shard), position: last === undefined ? null : String(last.sequence), successors: [], ended }
}

function manifestOf(...states: readonly SplitState[]): Manifest {
  const subtasks = states.map((state, subtask) => ({ subtask, keyed: [], operatorState: [state] }))
  return aManifest({ operators: [anOperator('left', [], { parallelism: subtasks.length, subtasks })] })
}

/** In seconds behind the beginning. The source `right` is new. */
async function arrivals(manifest: Manifest, atSeconds: number): Promise<Record<string, number>> {
  vi.setSystemTime(BEGIN + atSeconds * 1_000)
  const streams = new KinesisSourceStreams(new KinesisClient(), { left: STREAM, right: 'stack-right' })
  const control = { options: { sources: { left: 'left', right: 'right' } } }
  const deployed = { graph: joinGraph(), control, ports: { streams, clock: { now: () => Date.now() } } } as unknown as DeployedControl
  const found = await arrivalsBehind(deployed, manifest)
  return Object.fromEntries(Object.entries(found).map(([stage, ms]) => [stage, (ms - BEGIN) / 1_000]))
}

describe('since when the oldest record has been there that a checkpoint does not count', () => {
  it('is the earliest over all shards, in whatever order they are listed', async () => {
    produce([
      [1, 0],
      [2, 1],
      [3, 2],
      [10, 2],
      [20, 1],
      [30, 0],
    ])
    expect(await arrivals(manifestOf(counted(0, 1), counted(1, 1), counted(2, 1)), 60)).toEqual({ left: 10 })
    expect(await arrivals(manifestOf(counted(0, 1), counted(1, 1), counted(2, 2)), 60)).toEqual({ left: 20 })
    expect(await arrivals(manifestOf(counted(0, 1), counted(1, 2), counted(2, 2)), 60)).toEqual({ left: 30 })
    expect(await arrivals(manifestOf(counted(0, 0), counted(1, 2), counted(2, 2)), 60)).toEqual({ left: 1 })
  })

  it('is now where nothing has come since', async () => {
    produce([[1, 0]])
    expect(await arrivals(manifestOf(counted(0, 1), counted(1, 0), counted(2, 0)), 60)).toEqual({ left: 60 })
  })

  it('is that of the first record of a shard which the checkpoint does not know, as it continues one that had not ended', async () => {
    produce([
      [1, 0],
      [2, 0],
    ])
    const [child] = aws.reshard(STREAM, [0], 2)
    produce([[5, child]])
    // The shard was read to its end behind the barrier.
    expect(await arrivals(manifestOf(counted(0, 2), counted(1, 0), counted(2, 0)), 60)).toEqual({ left: 5 })
    expect(await arrivals(manifestOf(counted(0, 1), counted(1, 0), counted(2, 0)), 60)).toEqual({ left: 2 })
  })

  it('asks nothing of a shard that had ended', async () => {
    produce([[1, 0]])
    const [child] = aws.reshard(STREAM, [0], 1)
    produce([[5, child]])
    expect(await arrivals(manifestOf(counted(0, 1, true), counted(1, 0), counted(2, 0), counted(child, 1)), 60)).toEqual({ left: 60 })
    expect(aws.count('GetRecords', shardId(0))).toBe(0)
  })

  it('is what a read says of how far it is behind, in a stretch without records', async () => {
    produce([
      [1, 0],
      [50, 0],
    ])
    aws.emptyReads = true
    aws.behindLatest = 15_000
    expect(await arrivals(manifestOf(counted(0, 1), counted(1, 0), counted(2, 0)), 60)).toEqual({ left: 45 })
  })
})
