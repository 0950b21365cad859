import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { Job } from '../api/index.js'
import { MillraceError } from '../core/index.js'
import type { OpenBlobStore } from './checkpoint-folder.js'
import type { FromThread, ToThread } from './messages.js'
import { SlotThread, type ThreadDeployment } from './slot-thread.js'
import { systemClock } from './system-clock.js'
import { ThreadSignal } from './thread-signal.js'

/** The coordinator's end of a slot thread. */
export interface ThreadHandle {
  post(message: ToThread): void
  /** Closes the subtasks, waits for it (a user function that does not return is waited for 5 s only) and ends the thread if it is one of its own. */
  close(): Promise<void>
}

const CLOSE_TIMEOUT_MS = 5_000

export type OnMessage = (message: FromThread) => void

export interface WorkerInput {
  readonly jobUrl: string
  readonly deployment: ThreadDeployment
  /** Port to each peer, by thread index; undefined for itself. */
  readonly peers: readonly (MessagePort | undefined)[]
  /** Shared by all threads. */
  readonly signals: Int32Array
}

/** All slots in the calling thread. */
export function startInCallingThread(job: Job, deployment: ThreadDeployment, onMessage: OnMessage, openStore: OpenBlobStore): ThreadHandle {
  const signal = new ThreadSignal(ThreadSignal.words(1), 0)
  const closing = new Closing()
  const thread = new SlotThread(job, deployment, {
    clock: systemClock,
    random: Math.random,
    nonce,
    openStore,
    // Not within the subtask's call: the coordinator may answer at once.
    send: (message) =>
      queueMicrotask(() => {
        if (message.kind === 'closed') closing.done()
        else onMessage(message)
      }),
    postToPeer: () => () => {
      throw new Error('a single thread has no peers')
    },
    pollPeers: () => {},
    sleep: (ms) => signal.sleep(ms),
    yieldToIo: () => new Promise((resolve) => setImmediate(resolve)),
  })
  void thread.start()
  return {
    post: (message) => thread.handle(message),
    close: () => {
      thread.handle({ kind: 'close' })
      return closing.wait()
    },
  }
}

/** One worker thread for each deployment, connected with each other. */
export function startWorkers(jobUrl: string, deployments: readonly ThreadDeployment[], onMessage: OnMessage): ThreadHandle[] {
  const ports: (MessagePort | undefined)[][] = deployments.map(() => deployments.map(() => undefined))
  for (let a = 0; a < deployments.length; a++) {
    for (let b = a + 1; b < deployments.length; b++) {
      const { port1, port2 } = new MessageChannel()
      ports[a][b] = port1
      ports[b][a] = port2
    }
  }
  const signals = ThreadSignal.words(deployments.length)
  return deployments.map((deployment, index) => startWorker(jobUrl, deployment, ports[index], signals, onMessage))
}

function startWorker(
  jobUrl: string,
  deployment: ThreadDeployment,
  peers: readonly (MessagePort | undefined)[],
  signals: Int32Array,
  onMessage: OnMessage,
): ThreadHandle {
  const input: WorkerInput = { jobUrl, deployment, peers, signals }
  const worker = new Worker(new URL('./worker-main.js', import.meta.url), {
    name: `millrace-slots-${deployment.thread}`,
    workerData: input,
    transferList: peers.filter((port) => port !== undefined),
    // Short-lived records die young: a larger young generation copies fewer of them.
    resourceLimits: { maxYoungGenerationSizeMb: 96, maxOldGenerationSizeMb: 8192 },
  })
  const closing = new Closing()
  let expected = false
  worker.on('message', (message: FromThread) => {
    if (message.kind === 'closed') closing.done()
    else onMessage(message)
  })
  const lost = (why: string) => {
    closing.done()
    if (expected) return
    expected = true
    const error = new MillraceError('WORKER_LOST', {
      what: `worker thread ${deployment.thread} ended: ${why}`,
      todo: 'If it ran out of memory, raise the parallelism or keep less state.',
    })
    onMessage({ kind: 'failed', error: error.toPlain() })
  }
  worker.on('error', (error) => lost(error.message))
  worker.on('exit', (code) => lost(`exit code ${code}`))
  return {
    post: (message) => worker.postMessage(message),
    close: async () => {
      expected = true
      worker.postMessage({ kind: 'close' } satisfies ToThread)
      await closing.wait()
      await worker.terminate()
    },
  }
}

/** That a thread has closed, or is gone, or takes too long. */
class Closing {
  readonly #closed: Promise<void>
  done!: () => void

  constructor() {
    this.#closed = new Promise((resolve) => {
      this.done = resolve
    })
  }

  async wait(): Promise<void> {
    const timer = setTimeout(this.done, CLOSE_TIMEOUT_MS)
    await this.#closed
    clearTimeout(timer)
  }
}

export function nonce(): string {
  return randomBytes(8).toString('hex')
}

/** Whether `url` can be imported by a worker as it is: JavaScript on disk. */
export function importable(url: string | undefined): url is string {
  if (url === undefined) return false
  const path = url.startsWith('file:') ? fileURLToPath(url) : url
  return /\.(js|mjs|cjs)$/.test(path)
}
