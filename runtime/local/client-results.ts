import type { ClientBatch } from '../core/index.js'

/** What `collect(name)` sinks have committed, each batch once. */
export class ClientResults {
  readonly values: Record<string, unknown[]> = {}
  readonly #batches = new Set<string>()
  /** The checkpoint of an earlier run that this one goes on from: its batches went to that run's client. */
  earlierRun = 0

  /** After a restart the batches of the restored checkpoint come again. */
  add(name: string, values: readonly unknown[], { uid, subtaskIndex, checkpointId }: ClientBatch): void {
    const batch = `${checkpointId} ${subtaskIndex} ${uid}`
    if (checkpointId <= this.earlierRun || this.#batches.has(batch)) return
    this.#batches.add(batch)
    this.values[name] ??= []
    for (const value of values) this.values[name].push(value)
  }
}
