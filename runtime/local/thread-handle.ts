import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { Job } from '../api/index.js'
import { MillraceError } from '../core/index.js'
import type { FromThread, ToThread } from './messages.js'
import { SlotThread, type ThreadDeployment } from './slot-thread.js'
import { systemClock } from './system-clock.js'

/** The coordinator's end of a slot thread. */
export interface ThreadHandle {
  post(message: ToThread): void
  /** Ends the thread without its cooperation, if it is one of its own. */
  terminate(): Promise<void>
}

export type OnMessage = (message: FromThread) => void

export interface WorkerInput {
  readonly jobUrl: string
  readonly deployment: ThreadDeployment
  /** Port to each peer, by thread index; undefined for itself. */
  readonly peers: readonly (MessagePort | undefined)[]
}

/** All slots in the calling thread. */
export function startInCallingThread(job: Job, deployment: ThreadDeployment, onMessage: OnMessage): ThreadHandle {
  const thread = new SlotThread(job, deployment, {
    clock: systemClock,
    random: Math.random,
    nonce,
    // Not within the subtask's call: the coordinator may answer at once.
    send: (message) => queueMicrotask(() => onMessage(message)),
    postToPeer: () => () => {
      throw new Error('a single thread has no peers')
    },
    pollPeers: () => {},
    yieldToIo: () => new Promise((resolve) => setImmediate(resolve)),
  })
  void thread.start()
  return { post: (message) => thread.handle(message), terminate: async () => {} }
}

/** One worker thread for each deployment, connected with each other. */
export function startWorkers(
  jobUrl: string,
  deployments: readonly ThreadDeployment[],
  onMessage: (thread: number, message: FromThread) => void,
): ThreadHandle[] {
  const ports: (MessagePort | undefined)[][] = deployments.map(() => deployments.map(() => undefined))
  for (let a = 0; a < deployments.length; a++) {
    for (let b = a + 1; b < deployments.length; b++) {
      const { port1, port2 } = new MessageChannel()
      ports[a][b] = port1
      ports[b][a] = port2
    }
  }
  return deployments.map((deployment, index) => startWorker(jobUrl, deployment, ports[index], (message) => onMessage(index, message)))
}

function startWorker(jobUrl: string, deployment: ThreadDeployment, peers: readonly (MessagePort | undefined)[], onMessage: OnMessage): ThreadHandle {
  const input: WorkerInput = { jobUrl, deployment, peers }
  const worker = new Worker(new URL('./worker-main.js', import.meta.url), {
    name: `millrace-slots-${deployment.thread}`,
    workerData: input,
    transferList: peers.filter((port) => port !== undefined),
    // Short-lived records die young: a larger young generation copies fewer of them.
    resourceLimits: { maxYoungGenerationSizeMb: 96, maxOldGenerationSizeMb: 8192 },
  })
  let closed = false
  worker.on('message', (message: FromThread) => {
    if (message.kind === 'closed') closed = true
    onMessage(message)
  })
  const lost = (why: string) => {
    if (closed) return
    closed = true
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
    terminate: async () => {
      closed = true
      const exited = once(worker, 'exit')
      await worker.terminate()
      await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, 1_000).unref())])
    },
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
