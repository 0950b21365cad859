import {
  MemoryBlobStore,
  MemoryChannel,
  MemoryCommitLog,
  MemoryPokes,
  MemorySourceStreams,
  MemoryStreams,
} from '../../runtime/backends/memory/index.js'
import { CheckpointStore } from '../../runtime/checkpoint/index.js'
import type { DeadLetter, StagePorts } from '../../runtime/task/stage-ports.js'

/** All that stages touch, in memory and never failing. */
export class MemoryWorld {
  readonly streams = new MemoryStreams()
  readonly pokes = new MemoryPokes()
  readonly letters = new Map<string, DeadLetter>()
  /** What the stages counted. */
  readonly events = new Map<string, number>()
  readonly ports: StagePorts
  #nonces = 0

  /** `now`: epoch ms. */
  constructor(now: () => number) {
    const nonce = () => `n${++this.#nonces}`
    this.ports = {
      clock: { now, monotonic: now },
      log: new MemoryCommitLog(),
      parts: new MemoryBlobStore(),
      checkpoints: new CheckpointStore(new MemoryBlobStore(), { newNonce: nonce }),
      pokes: this.pokes,
      streams: new MemorySourceStreams(this.streams),
      deadLetters: { write: async (id, letter) => void this.letters.set(id, letter) },
      channel: (stage) => new MemoryChannel(this.streams.stream(stage), { now }),
      random: () => 0.5,
      nonce,
      pause: () => Promise.reject(new Error('no channel here gives anything back')),
      count: (event, times = 1) => void this.events.set(event, (this.events.get(event) ?? 0) + times),
    }
  }
}
