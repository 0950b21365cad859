import { MillraceError, type RuntimeContext, type Sink, type SinkTransactor, type SinkWriter, type SinkWriterContext } from '../core/index.js'
import { elementContext, type SinkBatch, sinkRecords } from '../operators/sink-batch.js'
import type { Clock } from '../ports/index.js'
import type { SinkEntry } from './outbox.js'

export interface SinkPlace {
  readonly uid: string
  readonly name: string
  readonly index: number
  readonly parallelism: number
  readonly runtime: RuntimeContext
  readonly clock: Clock
}

/**
 * Writes to a sink what commits have for it: after the commit, and again whenever it is not known to have arrived. With a transactor each
 * commit counts once; without one a sink is at least once.
 */
export class StageSink {
  readonly #transactor: SinkTransactor<unknown> | undefined
  readonly #writer: SinkWriter<unknown> | undefined

  /** Throws PLAN_INVALID for a writer that keeps state, which nobody would restore. */
  constructor(
    readonly sink: Sink<unknown>,
    readonly place: SinkPlace,
  ) {
    const context = this.#context()
    this.#transactor = sink.createTransactor?.(context)
    if (this.#transactor !== undefined) return
    this.#writer = sink.createWriter(context, [])
    if (this.#writer.snapshotState !== undefined) throw this.#failure('its writer keeps state', 'Use a sink without state, such as print().')
  }

  #context(): SinkWriterContext {
    const { index, parallelism, runtime, clock } = this.place
    return {
      subtaskIndex: index,
      parallelism,
      runtime,
      restoredCheckpointId: 0,
      now: () => clock.now(),
      emitToClient: () => {
        throw this.#failure('it hands results to the client of a job, and there is none', 'Send the results to a sink outside, such as print().')
      },
    }
  }

  async write({ marker, batch }: SinkEntry): Promise<void> {
    try {
      if (this.#transactor !== undefined) await this.#transactor.apply(marker, sinkRecords(batch))
      else await this.#writeAgain(this.#writer as SinkWriter<unknown>, marker.version, batch)
    } catch (thrown) {
      throw MillraceError.from(thrown, 'USER_FUNCTION', {
        what: `sink "${this.sink.name}" threw`,
        where: `operator "${this.place.name}" (uid ${this.place.uid})`,
        uid: this.place.uid,
      })
    }
  }

  async #writeAgain(writer: SinkWriter<unknown>, version: number, batch: SinkBatch): Promise<void> {
    for (let i = 0; i < batch.values.length; i++) writer.write(batch.values[i], elementContext(batch, i))
    // Resolves when what was written is where it belongs; without a committer nothing is left to do.
    await writer.prepareCommit(version, false)
  }

  /** A restore: instances of former attempts no longer write. */
  async fence(writer: string, attempt: number): Promise<void> {
    await this.#transactor?.fence(writer, attempt)
  }

  async close(): Promise<void> {
    await this.#writer?.close()
    await this.#transactor?.close?.()
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
