import { describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { valueState } from '../../runtime/index.js'
import type { BlobStore, CommitLog } from '../../runtime/ports/index.js'
import { jsonStream, Outside, Stages, StageWorld } from './stage-world.js'

interface Hit {
  readonly key: number
}

/** Calls of the log and the blob stores, and bytes written. */
class Counted {
  calls: string[] = []
  bytes = 0

  watch(log: CommitLog, ...stores: readonly BlobStore[]): void {
    const append = log.append.bind(log)
    log.append = (name, item) => {
      this.calls.push('append')
      this.bytes += item.payload.length
      return append(name, item)
    }
    const read = log.read.bind(log)
    log.read = (name, after) => {
      this.calls.push('read')
      return read(name, after)
    }
    for (const store of stores) {
      const put = store.put.bind(store)
      store.put = (name, bytes) => {
        this.calls.push('put')
        this.bytes += bytes.length
        return put(name, bytes)
      }
      const get = store.get.bind(store)
      store.get = (name) => {
        this.calls.push('get')
        return get(name)
      }
    }
  }

  take(): { readonly calls: string; readonly bytes: number } {
    const taken = { calls: this.calls.sort().join(' '), bytes: this.bytes }
    this.calls = []
    this.bytes = 0
    return taken
  }
}

/** What an invocation and a checkpoint cost that touch 100 of so many keys, on a warm instance. */
async function costWith(keys: number) {
  const world = StageWorld.withStream('hits')
  const count = (env: StreamExecutionEnvironment) => {
    jsonStream<Hit>(env, 'hits')
      .keyBy(({ key }) => key)
      .process({
        state: { count: valueState<number>() },
        processElement(_hit: Hit, { state }) {
          state.count.update((state.count.value() ?? 0) + 1)
        },
      })
      .uid('count')
      .sinkTo(new Outside().sink())
  }
  const stages = await Stages.activated(world, count)
  for (let from = 0; from < keys; from += 5_000) {
    stages.put('hits', 's0', ...Array.from({ length: Math.min(5_000, keys - from) }, (_, i) => ({ key: from + i })))
    await stages.comeToRest()
  }
  await stages.checkpoint()
  const counted = new Counted()
  counted.watch(world.log, world.parts, world.blobs)
  const some = Array.from({ length: 100 }, (_, i) => ({ key: 17 * i }))
  stages.put('hits', 's0', ...some)
  await stages.comeToRest()
  const invocations = counted.take()
  stages.put('hits', 's0', ...some)
  await stages.comeToRest()
  counted.take()
  await stages.checkpoint()
  return { invocations, checkpoint: counted.take() }
}

describe('what an invocation and a checkpoint cost', () => {
  it('follows the keys that change, not the size of the state', { timeout: 120_000 }, async () => {
    const small = await costWith(10_000)
    const large = await costWith(60_000)
    for (const what of ['invocations', 'checkpoint'] as const) {
      expect(large[what].calls).toBe(small[what].calls)
      expect(large[what].bytes).toBeLessThan(small[what].bytes * 1.2)
    }
    expect(small.checkpoint.bytes).toBeLessThan(12_000)
  })
})
