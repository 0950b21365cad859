import type { SinkElementContext, SinkWriterContext } from 'millrace'
import { describe, expect, test } from 'vitest'
import { fnv1a } from '../../bench/fnv1a.js'
import { addHashes, HASH_COUNTER, hashSink, OUTPUTS_COUNTER } from '../../bench/hash-sink.js'
import { busySecFromProc } from '../../bench/machine.js'

const element: SinkElementContext = { timestamp: null, currentWatermark: 0 }

function writerContext() {
  const counts: Record<string, number> = {}
  const metrics = {
    counter: (name: string) => ({
      inc(n = 1) {
        counts[name] = (counts[name] ?? 0) + n
      },
      get count() {
        return counts[name] ?? 0
      },
    }),
    gauge: () => {},
  }
  return {
    counts,
    context: { subtaskIndex: 0, parallelism: 1, runtime: { metrics }, restoredCheckpointId: 0, now: () => 0 } as unknown as SinkWriterContext,
  }
}

test('fnv1a is FNV-1a-32', () => {
  expect(fnv1a('')).toBe(0x811c9dc5)
  expect(fnv1a('a')).toBe(0xe40c292c)
  expect(fnv1a('foobar')).toBe(0xbf9cf968)
})

test('hashes are added modulo 2^53 without rounding', () => {
  expect(addHashes(1, 2)).toBe(3)
  expect(addHashes(2 ** 53 - 1, 1)).toBe(0)
  expect(addHashes(2 ** 53 - 1, 2 ** 53 - 2)).toBe(2 ** 53 - 3)
  expect(addHashes(2 ** 53 - 3, 0xffffffff)).toBe(0xfffffffc)
})

describe('hashSink', () => {
  const sink = hashSink<string>((text) => `<${text}>`)
  const expected = addHashes(fnv1a('<a>'), fnv1a('<b>'))

  test('reports totals at the end of input, independent of order', () => {
    for (const order of ['ab', 'ba']) {
      const { counts, context } = writerContext()
      const writer = sink.createWriter(context, [])
      for (const value of order) writer.write(value, element)
      writer.prepareCommit(1, false)
      expect(counts).toEqual({})
      writer.prepareCommit(2, true)
      expect(counts).toEqual({ [OUTPUTS_COUNTER]: 2, [HASH_COUNTER]: expected })
    }
  })

  test('goes on from the totals in a checkpoint', () => {
    const first = sink.createWriter(writerContext().context, [])
    first.write('a', element)
    first.prepareCommit(1, false)
    const restored = first.snapshotState?.(1) ?? []
    first.write('lost with the failure', element)

    const { counts, context } = writerContext()
    const second = sink.createWriter(context, restored)
    second.write('b', element)
    second.prepareCommit(2, true)
    expect(counts).toEqual({ [OUTPUTS_COUNTER]: 2, [HASH_COUNTER]: expected })
  })

  test('with lastBy all records count, but only the last of each is hashed, also after a restore', () => {
    const lastSink = hashSink<string>((text) => text, { lastBy: (text) => text[0] })
    const first = lastSink.createWriter(writerContext().context, [])
    for (const value of ['a1', 'b1', 'a2']) first.write(value, element)
    const restored = first.snapshotState?.(1) ?? []
    first.write('b lost with the failure', element)

    const { counts, context } = writerContext()
    const second = lastSink.createWriter(context, restored)
    second.write('a3', element)
    second.prepareCommit(2, true)
    expect(counts).toEqual({ [OUTPUTS_COUNTER]: 4, [HASH_COUNTER]: addHashes(fnv1a('a3'), fnv1a('b1')) })
  })
})

test('idle time and waiting for disks are not busy', () => {
  expect(busySecFromProc('cpu  100 20 30 9999 8888 4 5 6 7 8\ncpu0 1 1 1 1 1 1 1 1 0 0\n')).toBe(1.65)
})
