import type { Sink } from '../core/index.js'

/** Hands elements to the job's client once they are committed, so each exactly once. */
export function clientSink<T>(name: string): Sink<T, T, never> {
  return {
    name: 'collect',
    createWriter: () => {
      let buffered: T[] = []
      return {
        write: (value) => void buffered.push(value),
        prepareCommit: () => {
          const committables = buffered
          buffered = []
          return committables
        },
        close: () => {},
      }
    },
    createCommitter: (context) => ({ commit: (values) => context.emitToClient(name, values) }),
  }
}
