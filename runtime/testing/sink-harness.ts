import type { Committer, Sink, SinkWriter, SinkWriterContext } from '../core/index.js'
import { harnessRuntimeContext } from './harness-runtime-context.js'

/** What a checkpoint would hold of a sink, after a round trip through JSON. */
export interface SinkSnapshot<Committable, WriterState> {
  readonly checkpointId: number
  /** Everything prepared up to this checkpoint and not committed when it was taken. */
  readonly committables: readonly Committable[]
  readonly writerStates: readonly WriterState[]
}

/** Options of {@link SinkHarness}. */
export interface SinkHarnessOptions<Committable, WriterState> {
  /** Default 1; after a restore any. */
  readonly parallelism?: number
  readonly restored?: SinkSnapshot<Committable, WriterState>
  readonly attemptNumber?: number
  /** Processing time, epoch ms. */
  readonly now?: () => number
}

/**
 * Runs a sink by hand: a writer for each subtask and the committer, without a job. A harness that is dropped without {@link close} is a
 * crash; one that is opened with a snapshot is the restore after it.
 *
 * @example
 * const harness = await SinkHarness.open(sink)
 * harness.write('a')
 * const snapshot = await harness.checkpoint(1)
 * await harness.complete(1)
 * const restored = await SinkHarness.open(sink, { restored: snapshot })
 */
export class SinkHarness<T, Committable, WriterState> {
  /** What the sink handed to the starter of the job (`collect(name)`), by name. */
  readonly emitted: Record<string, unknown[]> = {}
  readonly #writers: SinkWriter<T, Committable, WriterState>[]
  readonly #committer: Committer<Committable> | undefined
  /** Prepared and not committed, by checkpoint. */
  #prepared: { readonly checkpointId: number; readonly committables: readonly Committable[] }[] = []
  #lastCheckpointId: number

  private constructor(sink: Sink<T, Committable, WriterState>, options: SinkHarnessOptions<Committable, WriterState>) {
    const { parallelism = 1, restored, attemptNumber = 0, now = Date.now } = options
    this.#lastCheckpointId = restored?.checkpointId ?? 0
    const contextOf = (subtaskIndex: number): SinkWriterContext => ({
      subtaskIndex,
      parallelism,
      runtime: harnessRuntimeContext({ name: sink.name, subtaskIndex, parallelism, attemptNumber }),
      restoredCheckpointId: this.#lastCheckpointId,
      now,
      emitToClient: (name, values) => {
        this.emitted[name] = [...(this.emitted[name] ?? []), ...values]
      },
    })
    const states = restored?.writerStates ?? []
    this.#committer = sink.createCommitter?.(contextOf(0))
    this.#writers = Array.from({ length: parallelism }, (_, subtask) =>
      sink.createWriter(
        contextOf(subtask),
        states.filter((_, i) => i % parallelism === subtask),
      ),
    )
  }

  /** Creates the writers and commits what the snapshot holds, both at once as in a job. */
  static async open<T, Committable, WriterState>(
    sink: Sink<T, Committable, WriterState>,
    options: SinkHarnessOptions<Committable, WriterState> = {},
  ): Promise<SinkHarness<T, Committable, WriterState>> {
    const harness = new SinkHarness(sink, options)
    if (options.restored !== undefined) await harness.#committer?.commit(options.restored.committables)
    return harness
  }

  write(value: T, subtask = 0, timestamp: number | null = null): void {
    this.#writers[subtask].write(value, { timestamp, currentWatermark: timestamp ?? Number.NEGATIVE_INFINITY })
  }

  /** A barrier at all writers. */
  async checkpoint(checkpointId: number): Promise<SinkSnapshot<Committable, WriterState>> {
    const { committables, writerStates } = await this.#prepare(checkpointId, false)
    this.#prepared.push({ checkpointId, committables: plain(committables) })
    return plain({ checkpointId, committables: this.#prepared.flatMap((prepared) => prepared.committables), writerStates })
  }

  /** The checkpoint is complete: commits everything up to it. */
  async complete(checkpointId: number): Promise<void> {
    const ripe = this.#prepared.filter((prepared) => prepared.checkpointId <= checkpointId)
    await this.#committer?.commit(ripe.flatMap((prepared) => prepared.committables))
    this.#prepared = this.#prepared.filter((prepared) => prepared.checkpointId > checkpointId)
  }

  /** The end of all input: everything is prepared and committed. */
  async finish(): Promise<void> {
    const checkpointId = this.#lastCheckpointId + 1
    const { committables } = await this.#prepare(checkpointId, true)
    this.#prepared.push({ checkpointId, committables: plain(committables) })
    await this.complete(checkpointId)
    await this.close()
  }

  async close(): Promise<void> {
    for (const writer of this.#writers) await writer.close()
    await this.#committer?.close?.()
  }

  async #prepare(checkpointId: number, endOfInput: boolean) {
    this.#lastCheckpointId = checkpointId
    const prepared: (readonly Committable[] | Promise<readonly Committable[]>)[] = []
    const writerStates: WriterState[] = []
    for (const writer of this.#writers) {
      prepared.push(writer.prepareCommit(checkpointId, endOfInput))
      writerStates.push(...(writer.snapshotState?.(checkpointId) ?? []))
    }
    return { committables: (await Promise.all(prepared)).flat(), writerStates }
  }
}

function plain<V>(value: V): V {
  return JSON.parse(JSON.stringify(value)) as V
}
