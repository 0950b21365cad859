import { describe, expect, it } from 'vitest'
import {
  MemoryBlobStore,
  MemoryChannel,
  MemoryCommitLog,
  MemoryPokes,
  MemorySourceStreams,
  MemoryStreams,
} from '../../runtime/backends/memory/index.js'
import type { ChannelEntry } from '../../runtime/ports/index.js'
import { type EntryFault, type Fault, FaultyPorts, type PortCall } from '../../runtime/testing/faulty-ports.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const item = (version: number) => ({ version, payload: bytes(`v${version}`) })
const target = { stage: 'sum', subtask: '1' }

/** Ports in memory whose next calls have these faults, one after the other. */
class Bench {
  readonly calls: PortCall[] = []
  readonly slept: number[] = []
  readonly later: { readonly ms: number; readonly effect: () => Promise<unknown> }[] = []
  readonly memory = { log: new MemoryCommitLog(), blobs: new MemoryBlobStore(), pokes: new MemoryPokes(), streams: new MemoryStreams() }
  readonly stream = this.memory.streams.createForStage('sum', 2)
  readonly ports: FaultyPorts

  constructor(...faults: readonly (Fault | undefined)[]) {
    this.ports = new FaultyPorts({
      decide: (call) => {
        this.calls.push(call)
        return faults[this.calls.length - 1]
      },
      sleep: async (ms) => {
        this.slept.push(ms)
      },
      later: (ms, effect) => this.later.push({ ms, effect }),
    })
  }

  get log() {
    return this.ports.log(this.memory.log)
  }
  get blobs() {
    return this.ports.blobs(this.memory.blobs)
  }
  get pokes() {
    return this.ports.pokes(this.memory.pokes)
  }
  get channel() {
    return this.ports.channel(new MemoryChannel(this.stream), 'sum')
  }

  received(subtask: number): string[] {
    return this.stream.records(String(subtask)).map(({ data }) => new TextDecoder().decode(data))
  }
}

const retryable = { code: 'AWS_CALL', retryable: true }

describe('FaultyPorts', () => {
  it('asks about every call, once and in order', async () => {
    const bench = new Bench()
    await bench.log.read('l', 0)
    await bench.log.head('l')
    await bench.log.append('l', item(1))
    await bench.log.putControl('l', { serial: 1, payload: bytes('c') })
    await bench.ports.blobs(bench.memory.blobs, 'parts').put('b/1', bytes('b'))
    await bench.blobs.get('b/1')
    await bench.blobs.list('b')
    await bench.blobs.delete('b/1')
    await bench.channel.send([
      { to: 0, bytes: bytes('x') },
      { to: 1, bytes: bytes('y') },
    ])
    await bench.pokes.poke(target, 5)
    const streams = bench.ports.streams(new MemorySourceStreams(bench.memory.streams))
    await streams.splits('sum')
    await streams.drained('sum', '0', undefined)
    expect(bench.calls.map(({ port, operation, key, size }) => `${port}.${operation} ${key} ${size}`)).toEqual([
      'log.read l 1',
      'log.head l 1',
      'log.append l 1',
      'log.putControl l 1',
      'parts.put b/1 1',
      'blobs.get b/1 1',
      'blobs.list b 1',
      'blobs.delete b/1 1',
      'channel.send sum 2',
      'pokes.poke sum/1 1',
      'streams.splits sum 1',
      'streams.drained sum/0 1',
    ])
  })

  it('throws before anything is done', async () => {
    const bench = new Bench({ kind: 'throw-before' }, { kind: 'throttle' })
    await expect(bench.log.append('l', item(1))).rejects.toMatchObject(retryable)
    await expect(bench.log.append('l', item(1))).rejects.toMatchObject({ ...retryable, message: expect.stringContaining('ThrottlingException') })
    expect((await bench.memory.log.head('l')).item).toBeUndefined()
  })

  it('throws though it is done, so that the caller loses to itself', async () => {
    const bench = new Bench({ kind: 'throw-after' }, undefined, { kind: 'throw-after' })
    await expect(bench.log.append('l', item(1))).rejects.toMatchObject(retryable)
    expect(await bench.log.append('l', item(1))).toBe('lost')
    await expect(bench.blobs.put('b', bytes('x'))).rejects.toMatchObject(retryable)
    expect(await bench.blobs.put('b', bytes('y'))).toBe('exists')
  })

  it('throws what it is told to', async () => {
    const crash = new Error('the machine is gone')
    const bench = new Bench({ kind: 'throw-before', error: crash }, { kind: 'throw-after', error: crash })
    await expect(bench.log.head('l')).rejects.toBe(crash)
    await expect(bench.pokes.poke(target, 1)).rejects.toBe(crash)
    expect(bench.memory.pokes.size).toBe(1)
  })

  it('takes longer, before or after the effect, and may then fail', async () => {
    const log = new MemoryCommitLog()
    const seen: string[] = []
    const faults: Fault[] = [
      { kind: 'delay', ms: 10, at: 'before' },
      { kind: 'delay', ms: 20, at: 'after' },
      { kind: 'delay', ms: 30, at: 'before', fault: { kind: 'throw-after' } },
      { kind: 'delay', ms: 40, at: 'after', fault: { kind: 'throw-before' } },
    ]
    const ports = new FaultyPorts({
      decide: () => faults.shift(),
      sleep: async (ms) => {
        seen.push(`${ms} ms at version ${(await log.head('l')).item?.version ?? 0}`)
      },
      later: () => {},
    }).log(log)
    expect(await ports.append('l', item(1))).toBe('won')
    expect(await ports.append('l', item(2))).toBe('won')
    await expect(ports.append('l', item(3))).rejects.toMatchObject(retryable)
    await expect(ports.append('l', item(4))).rejects.toMatchObject(retryable)
    expect(seen).toEqual(['10 ms at version 0', '20 ms at version 2', '30 ms at version 2', '40 ms at version 3'])
    expect((await log.head('l')).item?.version).toBe(3)
  })

  it('fails now and is done later', async () => {
    const bench = new Bench({ kind: 'late', ms: 700 }, { kind: 'late', ms: 800 })
    await expect(bench.log.append('l', item(1))).rejects.toMatchObject(retryable)
    await expect(bench.blobs.put('b', bytes('x'))).rejects.toMatchObject(retryable)
    expect((await bench.memory.log.head('l')).item).toBeUndefined()
    expect(bench.later.map(({ ms }) => ms)).toEqual([700, 800])
    for (const { effect } of bench.later) await effect()
    expect((await bench.memory.log.head('l')).item?.version).toBe(1)
    expect(await bench.memory.blobs.list('')).toEqual(['b'])
  })

  it('does not find a blob, once', async () => {
    const bench = new Bench(undefined, { kind: 'missing' })
    await bench.blobs.put('b', bytes('x'))
    expect(await bench.blobs.get('b')).toBeUndefined()
    expect(await bench.blobs.get('b')).toEqual(bytes('x'))
  })

  it('loses a poke, doubles it, or makes it later', async () => {
    const bench = new Bench({ kind: 'lose' }, { kind: 'double' }, { kind: 'late', ms: 50 })
    await bench.pokes.poke(target, 1)
    expect(bench.memory.pokes.take()).toEqual([])
    await bench.pokes.poke(target, 2)
    expect(bench.memory.pokes.take()).toEqual([
      { target, atMs: 2 },
      { target, atMs: 2 },
    ])
    await bench.pokes.poke(target, 3)
    expect(bench.memory.pokes.take()).toEqual([])
    expect(bench.later[0].ms).toBe(50)
    await bench.later[0].effect()
    expect(bench.memory.pokes.take()).toEqual([{ target, atMs: 3 }])
  })

  it('fails a channel by its entries', async () => {
    const faults: EntryFault[] = ['put', 'refuse', 'refuse-and-put', 'double', { lateMs: 9 }]
    const bench = new Bench({ kind: 'entries', faults })
    const entries: ChannelEntry[] = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((text, at) => ({ to: at % 2, bytes: bytes(text) }))
    expect(await bench.channel.send(entries)).toEqual([entries[1], entries[2], entries[4]])
    expect([bench.received(0), bench.received(1)]).toEqual([
      ['a', 'c', 'g'],
      ['d', 'd', 'f'],
    ])
    expect(bench.later.map(({ ms }) => ms)).toEqual([9])
    expect(await bench.channel.send([entries[1], entries[2], entries[4]])).toEqual([])
    await bench.later[0].effect()
    expect([bench.received(0), bench.received(1)]).toEqual([
      ['a', 'c', 'g', 'c', 'e', 'e'],
      ['d', 'd', 'f', 'b'],
    ])
  })

  it('gives back what the channel behind it gave back, too', async () => {
    const entries: ChannelEntry[] = ['a', 'b', 'c'].map((text) => ({ to: 0, bytes: bytes(text) }))
    const sent: (readonly ChannelEntry[])[] = []
    const send = async (offered: readonly ChannelEntry[]) => {
      sent.push(offered)
      return offered.slice(-1)
    }
    const faults: Fault[] = [{ kind: 'entries', faults: ['refuse'] }, { kind: 'double' }]
    const channel = new FaultyPorts({ decide: () => faults.shift(), sleep: async () => {}, later: () => {} }).channel({ send }, 'sum')
    expect(await channel.send(entries)).toEqual([entries[0], entries[2]])
    expect(await channel.send(entries)).toEqual([entries[2]])
    expect(sent).toEqual([entries.slice(1), entries, entries.slice(0, 2)])
  })

  it('refuses a fault that does not fit', async () => {
    const misfits: Fault[] = [{ kind: 'missing' }, { kind: 'lose' }, { kind: 'double' }, { kind: 'entries', faults: [] }]
    for (const fault of misfits) await expect(new Bench(fault).log.head('l')).rejects.toThrow('does not fit log.head')
  })
})
