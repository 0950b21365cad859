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
    this.#note(log, 'read', () => 0)
    this.#note(log, 'head', () => 0)
    this.#note(log, 'append', (_, item) => item.payload.length)
    this.#note(log, 'putControl', (_, control) => control.payload.length)
    for (const store of stores) {
      this.#note(store, 'get', () => 0)
      this.#note(store, 'getRange', () => 0)
      this.#note(store, 'put', (_, bytes) => bytes.length)
    }
  }

  #note<P extends object, K extends keyof P & string>(
    port: P,
    name: K,
    written: (...args: P[K] extends (...args: infer A) => unknown ? A : never) => number,
  ): void {
    const method = (port[name] as (...args: unknown[]) => unknown).bind(port)
    const noted = (...args: unknown[]) => {
      this.calls.push(name)
      this.bytes += written(...(args as Parameters<typeof written>))
      return method(...args)
    }
    Object.assign(port, { [name]: noted })
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
