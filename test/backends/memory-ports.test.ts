import { describe, expect, it } from 'vitest'
import {
  MemoryBlobStore,
  MemoryChannel,
  MemoryCommitLog,
  MemoryPokes,
  MemorySourceStreams,
  MemoryStream,
  MemoryStreams,
} from '../../runtime/backends/memory/index.js'
import { ZlibCompression } from '../../runtime/backends/node/index.js'
import { FaultyPorts } from '../../runtime/testing/faulty-ports.js'
import { blobStoreContract } from './blob-store-contract.js'
import { channelContract, type OpenChannel } from './channel-contract.js'
import { commitLogContract } from './commit-log-contract.js'
import { compressionContract } from './compression-contract.js'
import { type OpenPokes, pokesContract } from './pokes-contract.js'
import { type OpenSourceStreams, type Split, sourceStreamsContract } from './source-streams-contract.js'

const faultless = () =>
  new FaultyPorts({
    decide: () => undefined,
    sleep: () => Promise.reject(new Error('nothing sleeps')),
    later: () => {
      throw new Error('nothing comes later')
    },
  })

function openChannel(subtasks: number): OpenChannel & { readonly stream: MemoryStream } {
  const stream = new MemoryStreams().createForStage('sum', subtasks)
  const received = (subtask: number) => stream.records(String(subtask)).map(({ data }) => new TextDecoder().decode(data))
  return { stream, channel: new MemoryChannel(stream), received }
}

function openPokes(wrap = (pokes: MemoryPokes): OpenPokes['pokes'] => pokes): OpenPokes {
  const pokes = new MemoryPokes()
  return { pokes: wrap(pokes), until: async (now) => pokes.take(now).map(({ target }) => `${target.stage}/${target.subtask}`) }
}

function openStreams(records: Partial<Record<Split, number>>): OpenSourceStreams {
  const streams = new MemoryStreams()
  const stream = streams.create('clicks', ['a', 'b'])
  const positions = {} as Record<Split, readonly bigint[]>
  const fill = (...splits: readonly Split[]) => {
    for (const split of splits) positions[split] = Array.from({ length: records[split] ?? 0 }, () => stream.put(split, Uint8Array.of(1)))
  }
  fill('a', 'b')
  stream.reshard(['a'], ['c', 'd'])
  fill('c', 'd')
  stream.reshard(['b', 'c'], ['e'])
  fill('e')
  return {
    streams: new MemorySourceStreams(streams),
    stream: 'clicks',
    ids: { a: 'a', b: 'b', c: 'c', d: 'd', e: 'e' },
    positions,
    forget: (splitId) => stream.forget(splitId),
  }
}

commitLogContract('memory', async () => new MemoryCommitLog({ now: () => 1_700_000_000_000 }))
commitLogContract('faulty, without faults', async () => faultless().log(new MemoryCommitLog()))
blobStoreContract('faulty, without faults', async () => faultless().blobs(new MemoryBlobStore()))
channelContract('memory', async (subtasks) => openChannel(subtasks))
channelContract('faulty, without faults', async (subtasks) => {
  const { channel, received } = openChannel(subtasks)
  return { channel: faultless().channel(channel, 'sum'), received }
})
pokesContract('memory', async () => openPokes())
pokesContract('faulty, without faults', async () => openPokes((pokes) => faultless().pokes(pokes)))
sourceStreamsContract('memory', async (records) => openStreams(records))
sourceStreamsContract('faulty, without faults', async (records) => {
  const opened = openStreams(records)
  return { ...opened, streams: faultless().streams(opened.streams) }
})
compressionContract('zlib', () => new ZlibCompression())
compressionContract('zlib, level 9', () => new ZlibCompression(9))

describe('MemoryCommitLog', () => {
  it('has no item that has expired, and lets its version be won again', async () => {
    let now = 1_000
    const log = new MemoryCommitLog({ now: () => now })
    const payload = Uint8Array.of(1)
    await log.append('a', { version: 1, payload, expiresAtMs: 3_000 })
    await log.append('a', { version: 2, payload })
    await log.append('a', { version: 3, payload, expiresAtMs: 2_000 })
    await log.append('a', { version: 4, payload, expiresAtMs: 2_001 })
    await log.putControl('a', { serial: 1, payload })
    const versions = async () => (await log.read('a', 0)).items.map(({ version }) => version)
    now = 1_999
    expect(await versions()).toEqual([1, 2, 3, 4])
    now = 2_000
    expect((await log.head('a')).item?.version).toBe(4)
    expect(await versions()).toEqual([1, 2, 4])
    now = 2_001
    expect((await log.head('a')).item?.version).toBe(2)
    expect(await versions()).toEqual([1, 2])
    now = 2_999
    expect(await versions()).toEqual([1, 2])
    now = 5_000
    expect(await log.append('a', { version: 1, payload })).toBe('won')
    expect(await log.append('a', { version: 2, payload })).toBe('lost')
    expect(await versions()).toEqual([1, 2])
    expect((await log.head('a')).control?.serial).toBe(1)
  })

  it('names its logs', async () => {
    const log = new MemoryCommitLog()
    await log.read('never', 0)
    await log.putControl('b', { serial: 1, payload: new Uint8Array() })
    await log.append('a', { version: 1, payload: new Uint8Array() })
    expect(log.names).toEqual(['b', 'a'])
  })
})

describe('MemoryStream', () => {
  it('gives positions that rise and cannot be compared as text or as numbers', () => {
    const stream = new MemoryStream(['a'])
    const positions = Array.from({ length: 10 }, () => stream.put('a', new Uint8Array()))
    for (const [at, position] of positions.slice(1).entries()) expect(position > positions[at]).toBe(true)
    expect([...positions.map(String)].sort()).not.toEqual(positions.map(String))
    expect(new Set(positions.map(Number)).size).toBeLessThan(positions.length)
  })

  it('takes nothing after the end of a split, and no split twice', () => {
    const stream = new MemoryStream(['a'])
    stream.put('a', new Uint8Array(), { partitionKey: 'k', arrivalMs: 5 })
    stream.reshard(['a'], ['b', 'c'])
    expect(() => stream.put('a', new Uint8Array())).toThrow('closed')
    expect(() => stream.reshard(['b'], ['a'])).toThrow('already')
    expect(() => stream.records('z')).toThrow('no split z')
    expect(stream.records('a')).toMatchObject([{ partitionKey: 'k', arrivalMs: 5 }])
  })
})

describe('MemoryPokes', () => {
  it('says when the next is due, and gives all when it is not told a time', async () => {
    const pokes = new MemoryPokes()
    expect([pokes.size, pokes.nextAtMs]).toEqual([0, Number.POSITIVE_INFINITY])
    await pokes.poke({ stage: 's', subtask: '1' }, 20)
    await pokes.poke({ stage: 's', subtask: '0' }, 10)
    await pokes.poke({ stage: 't', subtask: '0' }, 10)
    expect([pokes.size, pokes.nextAtMs]).toEqual([3, 10])
    expect(pokes.take().map(({ target, atMs }) => `${target.stage}${target.subtask}@${atMs}`)).toEqual(['s0@10', 't0@10', 's1@20'])
    expect(pokes.size).toBe(0)
  })
})
