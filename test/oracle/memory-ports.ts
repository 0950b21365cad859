import { MemoryBlobStore } from '../../runtime/backends/memory/index.js'
import { CheckpointStore } from '../../runtime/checkpoint/index.js'
import type { LogItem } from '../../runtime/ports/index.js'
import type { StreamRecord } from '../../runtime/task/record-stream-source.js'
import type { StagePorts, SubtaskLog } from '../../runtime/task/stage-ports.js'

/** Logs of subtasks in memory. */
class MemoryLog implements SubtaskLog {
  readonly #logs = new Map<string, Map<number, LogItem>>()

  async read(subtask: string, after: number): Promise<LogItem[]> {
    return this.#items(subtask).filter(({ version }) => version > after)
  }

  async head(subtask: string): Promise<LogItem | undefined> {
    return this.#items(subtask).at(-1)
  }

  async append(subtask: string, { version, payload }: LogItem): Promise<'won' | 'lost'> {
    const log = this.#logs.get(subtask) ?? new Map<number, LogItem>()
    this.#logs.set(subtask, log)
    if (log.has(version)) return 'lost'
    log.set(version, { version, payload: payload.slice() })
    return 'won'
  }

  #items(subtask: string): LogItem[] {
    return [...(this.#logs.get(subtask)?.values() ?? [])].sort((a, b) => a.version - b.version)
  }
}

/** A stream for each stage with a shard for each of its subtasks. Positions begin with 1. */
export class MemoryStreams {
  readonly #shards = new Map<string, StreamRecord[]>()

  shard(stage: string, subtask: number): StreamRecord[] {
    const name = `${stage}/${subtask}`
    const shard = this.#shards.get(name) ?? []
    this.#shards.set(name, shard)
    return shard
  }

  append(stage: string, subtask: number, data: Uint8Array, arrivalMs: number): void {
    const shard = this.shard(stage, subtask)
    shard.push({ position: BigInt(shard.length + 1), data: data.slice(), partitionKey: '', arrivalMs })
  }
}

/** All that a stage touches, in memory and never failing; `now` is epoch ms. */
export function memoryPorts(streams: MemoryStreams, now: () => number): StagePorts {
  let nonces = 0
  const nonce = () => `n${++nonces}`
  return {
    clock: { now, monotonic: now },
    log: new MemoryLog(),
    parts: new MemoryBlobStore(),
    checkpoints: new CheckpointStore(new MemoryBlobStore(), { newNonce: nonce }),
    channel: (stage) => ({
      send: async (entries) => {
        for (const { to, bytes } of entries) streams.append(stage, to, bytes, now())
        return []
      },
    }),
    random: () => 0.5,
    nonce,
    pause: () => Promise.reject(new Error('no channel here gives anything back')),
  }
}
