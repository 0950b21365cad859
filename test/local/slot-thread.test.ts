import { expect, test } from 'vitest'
import { defineJob } from '../../runtime/api/index.js'
import { type Source, WatermarkStrategy } from '../../runtime/core/index.js'
import { blobStoresOn } from '../../runtime/local/checkpoint-folder.js'
import type { FromThread } from '../../runtime/local/messages.js'
import { SlotThread } from '../../runtime/local/slot-thread.js'
import { until } from './run-job.js'

/** Waits for a time twice, then for something that never comes. */
function forgottenSource(onForgotten: () => void): Source<number> {
  let polls = 0
  return {
    name: 'forgotten-source',
    boundedness: 'unbounded',
    createEnumerator: () => ({ start() {}, handleSplitRequest() {}, addSplitsBack() {}, snapshotState: () => null, close() {} }),
    createReader: () => ({
      start() {},
      pollNext: () => {
        polls++
        return 'waiting'
      },
      dueInMs: () => (polls < 3 ? 0.5 : undefined),
      available: () => {
        onForgotten()
        return new Promise<void>(() => {})
      },
      addSplits() {},
      notifyNoMoreSplits() {},
      snapshotState: () => [],
      close() {},
    }),
  }
}

test('a thread sleeps itself for what is due soon, and only for that: then it rests', async () => {
  const sleeps: number[] = []
  const sent: FromThread[] = []
  let turns = 0
  let forgotten = false
  const job = defineJob('forgotten', (env) => {
    const source = forgottenSource(() => {
      forgotten = true
    })
    env.fromSource(source, WatermarkStrategy.noWatermarks(), 'forgotten').collect('out')
  })
  const thread = new SlotThread(
    job,
    {
      thread: 0,
      threads: 1,
      attempt: 1,
      parallelism: 1,
      maxParallelism: undefined,
      parameters: {},
      bindings: undefined,
      checkpointDir: undefined,
      exactlyOnce: true,
      autoWatermarkIntervalMs: 0,
      bufferTimeoutMs: 0,
      restoredCheckpointId: 0,
      restoreRoot: undefined,
      keyTypes: {},
      restore: new Map(),
    },
    {
      // It stands still, so that nothing here depends on how fast the machine is.
      clock: { now: () => 0, monotonic: () => 0 },
      random: () => 0.5,
      nonce: () => 'nonce',
      openStore: blobStoresOn(),
      send: (message) => sent.push(message),
      postToPeer: () => () => {},
      pollPeers: () => {
        turns++
      },
      sleep: (ms) => sleeps.push(ms),
      yieldToIo: () => new Promise((resolve) => setImmediate(resolve)),
    },
  )
  await thread.start()
  await until(() => forgotten)
  expect(sent.filter(({ kind }) => kind === 'failed')).toEqual([])
  expect(sleeps).toEqual([0.5, 0.5])
  const before = turns
  await new Promise((resolve) => setTimeout(resolve, 20))
  // The timer of the longest rest, at most.
  expect(turns - before).toBeLessThanOrEqual(2)
  thread.handle({ kind: 'close' })
  await until(() => sent.some(({ kind }) => kind === 'closed'))
})
