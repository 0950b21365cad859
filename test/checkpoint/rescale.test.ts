import { describe, expect, it } from 'vitest'
import { MemoryBlobStore } from '../../runtime/backends/memory/index.js'
import { CheckpointStore, type Manifest, planRestore, readKeyedState, type SegmentRef } from '../../runtime/checkpoint/index.js'
import { ReducingStateDescriptor } from '../../runtime/core/index.js'
import { KeyedStateBackend, keyGroupOf, keyGroupRange, StateScope, stateHandle, subtaskOfKeyGroup } from '../../runtime/state/index.js'
import { aManifest, anOperator, countingNonces } from './manifests.js'

const MAX = 32
const KEYS = Array.from({ length: 60 }, (_, i) => `key-${i}`)
const sum = new ReducingStateDescriptor<number>('sum', (a, b) => a + b)

async function restored(store: CheckpointStore, manifest: Manifest, parallelism: number): Promise<KeyedStateBackend[]> {
  const plan = planRestore(manifest, 'clicks', [{ uid: 'sum', parallelism, maxParallelism: MAX }])
  const shares = plan.operators.get('sum')?.subtasks ?? []
  return Promise.all(
    shares.map(async ({ keyed }, subtask) => {
      const backend = new KeyedStateBackend(MAX, keyGroupRange(subtask, MAX, parallelism))
      backend.restore(await readKeyedState(keyed, (ref) => store.readSegment(ref)))
      backend.openTimers()
      return backend
    }),
  )
}

function backendOf(backends: readonly KeyedStateBackend[], key: string): StateScope {
  const backend = backends[subtaskOfKeyGroup(keyGroupOf(key, MAX), MAX, backends.length)]
  backend.setCurrentKey(key)
  return new StateScope(backend)
}

const contents = (backends: readonly KeyedStateBackend[]) => KEYS.map((key) => stateHandle(backendOf(backends, key), sum).get())

describe('keyed state through checkpoints', () => {
  it('is whole at 2 -> 3 -> 1 -> 4, checkpoint by checkpoint', async () => {
    const store = new CheckpointStore(new MemoryBlobStore(), { newNonce: countingNonces() })
    let manifest = aManifest({ checkpointId: 0 })
    const expected = new Map<string, number>()
    let backends = Array.from({ length: 2 }, (_, subtask) => new KeyedStateBackend(MAX, keyGroupRange(subtask, MAX, 2)))
    let id = 0
    for (const next of [3, 1, 4, 4]) {
      const chains: SegmentRef[][] = backends.map(() => [])
      for (const backend of backends) backend.tracking = true
      for (const round of ['base', 'delta', 'delta']) {
        for (const [i, key] of KEYS.entries()) {
          if ((i + id) % 3 === 0) continue
          stateHandle(backendOf(backends, key), sum).add(i)
          expected.set(key, (expected.get(key) ?? 0) + i)
        }
        stateHandle(backendOf(backends, KEYS[id]), sum).clear()
        expected.delete(KEYS[id])
        id++
        for (const [subtask, backend] of backends.entries()) {
          const bytes = round === 'base' ? backend.snapshotAll() : id % 2 === 0 ? backend.takeDelta() : backend.snapshotChanges()
          if (bytes !== undefined) chains[subtask].push(await store.writeSegment('sum', subtask, id, bytes))
        }
        manifest = aManifest({ checkpointId: id, operators: [anOperator('sum', chains, { maxParallelism: MAX })] })
        await store.complete(manifest)
        await store.retain(1)
      }
      backends = await restored(store, (await store.latest()) as Manifest, next)
      expect(contents(backends)).toEqual(KEYS.map((key) => expected.get(key) ?? null))
    }
    expect((await store.list()).map((c) => c.status)).toEqual(['valid'])
  })

  it('what a former subtask wrote for key groups that it no longer owned is not taken', async () => {
    const store = new CheckpointStore(new MemoryBlobStore(), { newNonce: countingNonces() })
    const fill = (backend: KeyedStateBackend, keys: readonly string[], n: number) => {
      for (const key of keys) stateHandle(backendOf([backend], key), sum).add(n)
      return backend.snapshotAll() as Uint8Array
    }
    const whole = () => new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
    const shared = await store.writeSegment('sum', 0, 1, fill(whole(), KEYS, 1))
    const owned = (subtask: number) => KEYS.filter((key) => subtaskOfKeyGroup(keyGroupOf(key, MAX), MAX, 2) === subtask)
    // Two subtasks that both build on the one segment from before they were split.
    const chains = [
      [shared, await store.writeSegment('sum', 0, 2, fill(whole(), owned(0), 20))],
      [shared, await store.writeSegment('sum', 1, 2, fill(whole(), owned(1), 30))],
    ]
    const manifest = aManifest({ operators: [anOperator('sum', chains, { maxParallelism: MAX })] })
    for (const parallelism of [1, 2, 3]) {
      const found = contents(await restored(store, manifest, parallelism))
      expect(found).toEqual(KEYS.map((key) => (owned(0).includes(key) ? 20 : 30)))
    }
  })
})
