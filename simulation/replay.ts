import { inspect } from 'node:util'
import { CheckpointStore } from '../runtime/checkpoint/index.js'
import type { JobParameters } from '../runtime/core/index.js'
import { type CompiledJob, vertexOf } from '../runtime/plan/index.js'
import { type DecodedSegment, decodeSegment, type KeyedStateBackend, mergeSegments } from '../runtime/state/index.js'
import { BatchProcessingTime } from '../runtime/task/batch-processing-time.js'
import { LiveStage } from '../runtime/task/live-stage.js'
import { READ_WHOLE, recover } from '../runtime/task/stage-recovery.js'
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
  const recovered = await recover(ports, log, item, READ_WHOLE)
  const [stage, subtask] = log.split('/').slice(-2) as [string, string]
  const compiled = describe()
  const time = new BatchProcessingTime({ now: () => world.now, monotonic: () => world.now })
  time.beginAt(recovered.head.lastNow)
  const vertex = vertexOf(compiled.graph, stage)
  const packing = { compression: world.compression, frameBytes: world.settings.frameBytes }
  const live = await LiveStage.open({ job: compiled, vertex, subtask, parameters, time, packing, random: () => 0.5, count: () => {} }, recovered)
  const states = new Map([...live.backends].map(([uid, backend]) => [uid, rowsOf(wholeOf(backend))]))
  await live.close()
  return { version: recovered.version, states }
}

function wholeOf(backend: KeyedStateBackend): readonly DecodedSegment[] {
  const bytes = backend.snapshotAll()
  return bytes === undefined ? [] : [decodeSegment(bytes, 'the state of a backend')]
}

/** What segments say one after the other, in an order of its own, as text. */
export function rowsOf(segments: readonly DecodedSegment[]): string {
  const merged = mergeSegments(segments, { first: 0, last: Number.MAX_SAFE_INTEGER }, { bottom: true, sweptTo: Number.NEGATIVE_INFINITY })
  if (merged === undefined) return ''
  const { header, blocks } = decodeSegment(merged, 'merged segments')
  const rows: string[] = []
  for (const { keyGroup, block } of blocks(0, Number.MAX_SAFE_INTEGER)) {
    const { state, keys, namespaces, values } = block
    for (let i = 0; i < keys.length; i++) rows.push(`${keyGroup} ${header.states[state].name} ${text([keys[i], namespaces[i], values[i]])}`)
  }
  return rows.sort().join('\n')
}

function text(value: unknown): string {
  return inspect(value, { depth: null, sorted: true, maxArrayLength: null, maxStringLength: null, breakLength: Number.POSITIVE_INFINITY })
}
