import { MemorySourceStreams, type MemoryStreams } from '../runtime/backends/memory/index.js'
import { ZlibCompression } from '../runtime/backends/node/index.js'
import type { StagePorts } from '../runtime/task/stage-ports.js'

/** What stages touch besides stores, streams and queues, in a world in which nothing goes wrong and time is told. `now` in epoch ms. */
export function undisturbedPorts(
  now: () => number,
  streams: MemoryStreams,
): Pick<StagePorts, 'clock' | 'streams' | 'deadLetters' | 'compression' | 'random' | 'nonce' | 'pause'> {
  let nonces = 0
  return {
    clock: { now, monotonic: now },
    streams: new MemorySourceStreams(streams),
    deadLetters: { write: () => Promise.reject(new Error('no record fails')) },
    compression: new ZlibCompression(),
    random: () => 0.5,
    // As long as those of the functions.
    nonce: () => (++nonces).toString(16).padStart(32, '0'),
    pause: () => Promise.reject(new Error('nothing is ever refused')),
  }
}
