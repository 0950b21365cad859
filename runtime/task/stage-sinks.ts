import { MillraceError, NO_TIMESTAMP, type RuntimeContext, type Sink, type SinkWriter } from '../core/index.js'
import type { Clock } from '../ports/index.js'
import type { SinkBatch } from './outbox-sink-operator.js'

export interface SinkPlace {
  readonly uid: string
  readonly name: string
  readonly subtask: number
  readonly parallelism: number
  readonly runtime: RuntimeContext
  readonly clock: Clock
}

/**
 * Writes to a sink what commits have for it: after the commit, again when a batch is redelivered to another instance, hence at least once.
 */
export class StageSink {
  readonly #writer: SinkWriter<unknown>

  /** Throws PLAN_INVALID for a writer that keeps state, which nobody would restore. */
  constructor(
    readonly sink: Sink<unknown>,
    readonly place: SinkPlace,
  ) {
    this.#writer = sink.createWriter(
      {
        subtaskIndex: place.subtask,
        parallelism: place.parallelism,
        runtime: place.runtime,
        restoredCheckpointId: 0,
        now: () => place.clock.now(),
        emitToClient: () => {
          throw this.#failure('it hands results to the client of a job, and there is none', 'Send the results to a sink outside, such as print().')
        },
      },
      [],
    )
    if (this.#writer.snapshotState !== undefined) throw this.#failure('its writer keeps state', 'Use a sink without state, such as print().')
  }

  async write(version: number, { values, timestamps, watermarks }: SinkBatch): Promise<void> {
    try {
      for (let i = 0; i < values.length; i++) {
        this.#writer.write(values[i], { timestamp: timestamps[i] === NO_TIMESTAMP ? null : timestamps[i], currentWatermark: watermarks[i] })
      }
      // Resolves when what was written is where it belongs; without a committer nothing is left to do.
      await this.#writer.prepareCommit(version, false)
    } catch (thrown) {
      throw MillraceError.from(thrown, 'USER_FUNCTION', {
        what: `sink "${this.sink.name}" threw`,
        where: `operator "${this.place.name}" (uid ${this.place.uid})`,
        uid: this.place.uid,
      })
    }
  }

  async close(): Promise<void> {
    await this.#writer.close()
  }

  #failure(why: string, todo: string): MillraceError {
    return new MillraceError('PLAN_INVALID', {
      what: `stages on AWS cannot run the sink "${this.sink.name}" yet: ${why}`,
      where: `operator "${this.place.name}" (uid ${this.place.uid})`,
      todo,
      uid: this.place.uid,
    })
  }
}
