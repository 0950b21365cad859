import type { Sink } from '../core/index.js'

interface Batch<T> {
  readonly checkpointId: number
  readonly subtaskIndex: number
  readonly values: readonly T[]
}

/** Hands elements to the job's client once they are committed, so each exactly once within a run. */
export function clientSink<T>(name: string): Sink<T, Batch<T>, never> {
  return {
    name: 'collect',
    createWriter: ({ subtaskIndex }) => {
      let values: T[] = []
      return {
        write: (value) => void values.push(value),
        prepareCommit: (checkpointId) => {
          if (values.length === 0) return []
          const batch = { checkpointId, subtaskIndex, values }
          values = []
          return [batch]
        },
        close: () => {},
      }
    },
    createCommitter: ({ runtime: { uid }, emitToClient }) => ({
      commit: (batches) => {
        for (const { checkpointId, subtaskIndex, values } of batches) emitToClient(name, values, { uid, subtaskIndex, checkpointId })
      },
    }),
  }
}
