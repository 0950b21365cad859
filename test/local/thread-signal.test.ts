import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { ThreadSignal } from '../../runtime/local/thread-signal.js'

/** Far longer than a test may take. */
const FOR_EVER_MS = 60_000

describe('the signal of a thread', () => {
  test('a sleep does not begin when somebody has rung since the last look', () => {
    const words = ThreadSignal.words(2)
    const [sleeper, peer] = [new ThreadSignal(words, 0), new ThreadSignal(words, 1)]
    const asleep = (ms: number) => {
      const began = performance.now()
      sleeper.sleep(ms)
      return performance.now() - began
    }
    sleeper.look()
    peer.ring(0)
    expect(asleep(FOR_EVER_MS)).toBeLessThan(FOR_EVER_MS / 2)
    sleeper.look()
    peer.ring(1) // another thread's
    expect(asleep(50)).toBeGreaterThan(40)
    peer.ring(0)
    peer.ring(0)
    expect(asleep(FOR_EVER_MS)).toBeLessThan(FOR_EVER_MS / 2)
  })

  test('a ring ends the sleep of another thread', async () => {
    const words = ThreadSignal.words(2)
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads')
      import(workerData.url).then(({ ThreadSignal }) => {
        const signal = new ThreadSignal(workerData.words, 1)
        signal.look()
        parentPort.postMessage('sleeps')
        signal.sleep(${FOR_EVER_MS})
        parentPort.postMessage('awake')
      })`,
      { eval: true, workerData: { words, url: new URL('../../dist/runtime/local/thread-signal.js', import.meta.url).href } },
    )
    const heard: unknown[] = []
    await new Promise<void>((resolve, reject) => {
      worker.on('error', reject)
      worker.on('message', (message) => {
        heard.push(message)
        if (message === 'sleeps') new ThreadSignal(words, 0).ring(1)
        else resolve()
      })
    })
    expect(heard).toEqual(['sleeps', 'awake'])
    await worker.terminate()
  })
})
