import type { Job } from '../api/index.js'
import { type CompiledJob, slotCount, slotOf, type VertexPlan } from '../plan/index.js'
import type { OpenBlobStore } from './checkpoint-folder.js'
import type { ThreadMetrics } from './job-metrics.js'
import type { FromThread, ToThread } from './messages.js'
import type { RunOptions } from './run-options.js'
import type { ThreadDeployment } from './slot-thread.js'
import { importable, startInCallingThread, startWorkers, type ThreadHandle } from './thread-handle.js'

/** How many worker threads a job gets, and where they import it from; 0 and undefined: all in the calling thread. */
export function workerPlan(job: Job, compiled: CompiledJob, options: RunOptions): { readonly workers: number; readonly url: string | undefined } {
  const slots = slotCount(compiled.graph)
  const wanted = Math.min(options.threads ?? (slots === 1 ? 0 : slots), slots)
  const url = options.jobModule === undefined ? job.moduleUrl : String(options.jobModule)
  if (wanted === 0 || (options.jobModule === undefined && !importable(url))) return { workers: 0, url: undefined }
  return { workers: wanted, url }
}

/** The threads of one attempt, as the coordinator speaks to them. */
export class AttemptThreads {
  readonly #compiled: CompiledJob
  readonly #handles: readonly ThreadHandle[]
  readonly #requests = new Map<number, { readonly parts: ThreadMetrics[]; readonly resolve: (parts: readonly ThreadMetrics[]) => void }>()
  #nextRequest = 0

  /** Starts one thread for each deployment. */
  constructor(
    job: Job,
    compiled: CompiledJob,
    url: string | undefined,
    deployments: readonly ThreadDeployment[],
    onMessage: (message: FromThread) => void,
    openStore: OpenBlobStore,
  ) {
    this.#compiled = compiled
    this.#handles = url === undefined ? [startInCallingThread(job, deployments[0], onMessage, openStore)] : startWorkers(url, deployments, onMessage)
  }

  get count(): number {
    return this.#handles.length
  }

  post(message: ToThread): void {
    for (const handle of this.#handles) handle.post(message)
  }

  /** To the thread that runs a subtask. */
  postTo(vertex: VertexPlan, subtask: number, message: ToThread): void {
    this.#handles[slotOf(this.#compiled.graph, vertex, subtask) % this.#handles.length].post(message)
  }

  /** Metrics of every thread; what has come so far when the threads close meanwhile. */
  metrics(): Promise<readonly ThreadMetrics[]> {
    const request = this.#nextRequest++
    return new Promise((resolve) => {
      this.#requests.set(request, { parts: [], resolve })
      this.post({ kind: 'metrics', request })
    })
  }

  onMetrics(request: number, part: ThreadMetrics): void {
    const waiting = this.#requests.get(request)
    if (waiting === undefined) return
    waiting.parts.push(part)
    if (waiting.parts.length < this.#handles.length) return
    this.#requests.delete(request)
    waiting.resolve(waiting.parts)
  }

  /** Nothing of the attempt runs or writes any more once this resolves. */
  async close(): Promise<void> {
    for (const { parts, resolve } of this.#requests.values()) resolve(parts)
    this.#requests.clear()
    await Promise.allSettled(this.#handles.map((handle) => handle.close()))
  }
}
