import { inspect } from 'node:util'
import { CheckpointStore } from '../runtime/checkpoint/index.js'
import type { JobParameters } from '../runtime/core/index.js'
import { type CompiledJob, vertexOf } from '../runtime/plan/index.js'
import { decodeSegment } from '../runtime/state/index.js'
import { BatchProcessingTime } from '../runtime/task/batch-processing-time.js'
import { LiveStage } from '../runtime/task/live-stage.js'
import { recover } from '../runtime/task/stage-recovery.js'
import type { Job } from './job.js'

/** Keyed state of a subtask as base and log have it, by operator; each as text. */
export interface ColdState {
  readonly version: number
  readonly states: ReadonlyMap<string, string>
}

/** Opens a subtask from its log alone, as a new instance does; nothing is written and no time passes. Undefined when it has no log. */
export async function coldState(job: Job, describe: () => CompiledJob, log: string, parameters: JobParameters): Promise<ColdState | undefined> {
  const { world } = job
  const ports = { log: world.log.inner, parts: world.blobs, checkpoints: new CheckpointStore(job.checkpoints) }
  const { item } = await ports.log.head(log)
  if (item === undefined) return undefined
  const recovered = await recover(ports, log, item)
  const [stage, subtask] = log.split('/').slice(-2) as [string, string]
  const compiled = describe()
  const time = new BatchProcessingTime({ now: () => world.now, monotonic: () => world.now })
  time.beginAt(recovered.head.lastNow)
  const vertex = vertexOf(compiled.graph, stage)
  const packing = { compression: world.compression, frameBytes: world.settings.frameBytes }
  const live = await LiveStage.open({ job: compiled, vertex, subtask, parameters, time, packing, random: () => 0.5, count: () => {} }, recovered)
  const states = new Map(live.takeSegments().map(([uid, bytes]) => [uid, rowsOf([bytes])]))
  await live.close()
  return { version: recovered.version, states }
}

/** Rows of segments in an order of their own, as text. */
export function rowsOf(segments: readonly Uint8Array[]): string {
  const rows: string[] = []
  for (const bytes of segments) {
    for (const { keyGroup, block } of decodeSegment(bytes, 'a segment').blocks(0, Number.MAX_SAFE_INTEGER)) {
      const { state, keys, namespaces, values } = block
      for (let i = 0; i < keys.length; i++) rows.push(`${keyGroup} ${state} ${text([keys[i], namespaces[i], values[i]])}`)
    }
  }
  return rows.sort().join('\n')
}

function text(value: unknown): string {
  return inspect(value, { depth: null, sorted: true, maxArrayLength: null, maxStringLength: null, breakLength: Number.POSITIVE_INFINITY })
}
