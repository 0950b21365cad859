import {
  type Committer,
  MillraceError,
  NO_TIMESTAMP,
  type Sink,
  type SinkElementContext,
  type SinkRecord,
  type SinkWriter,
  type SinkWriterContext,
} from '../core/index.js'
import { isHeldElement, type ReleasedBatch, releasedBatches } from './held-element.js'
import { elementContext, sinkRecords } from './sink-batch.js'
import { StreamOperator } from './stream-operator.js'
import { userError } from './user-error.js'

interface SinkSnapshot {
  /** Not yet known to be committed: [checkpoint, committables]. */
  readonly pending: readonly (readonly [number, readonly unknown[]])[]
  readonly writer: readonly unknown[]
}

/** Whether it is what a sink leaves in a checkpoint that has nothing to commit and keeps no state. */
export function isEmptySinkSnapshot(element: unknown): boolean {
  const { pending, writer } = (element ?? {}) as Partial<SinkSnapshot>
  return Array.isArray(pending) && pending.length === 0 && Array.isArray(writer) && writer.length === 0
}

/**
 * Runs a two-phase sink: records to the writer; at a barrier what the writer wants committed joins the pending ones, which
 * the snapshot holds; once the checkpoint is complete they are committed, oldest first. After a restore the pending ones
 * of the checkpoint are committed (again) before anything else. So is what the sink held when it ran in stages: the checkpoint has completed,
 * and whoever stopped the stages may not have waited until they had written it.
 */
export class SinkOperator<T> extends StreamOperator<T, never> {
  #writer!: SinkWriter<T, unknown, unknown>
  #committer: Committer<unknown> | undefined
  #pending: [number, Promise<readonly unknown[]>][] = []
  #committing: Promise<void> = Promise.resolve()
  #ended = false
  #waiting = false
  readonly #element: { timestamp: number | null; currentWatermark: number } & SinkElementContext = {
    timestamp: null,
    currentWatermark: Number.NEGATIVE_INFINITY,
  }

  constructor(readonly sink: Sink<T, unknown, unknown>) {
    super()
  }

  override async open(restored: readonly unknown[]): Promise<void> {
    const { context } = this
    const sinkContext: SinkWriterContext = {
      subtaskIndex: context.subtaskIndex,
      parallelism: context.parallelism,
      runtime: context.runtime,
      restoredCheckpointId: context.restoredCheckpointId,
      now: () => context.processingTime.clock.now(),
      emitToClient: context.emitToClient,
    }
    const held = this.#heldUpTo(context.restoredCheckpointId, restored)
    const snapshots = restored.filter((element) => !isHeldElement(element)) as readonly SinkSnapshot[]
    this.#committer = this.sink.createCommitter?.(sinkContext)
    const recovered = snapshots.flatMap((s) => s.pending).sort(([a], [b]) => a - b)
    for (const [id, committables] of recovered) this.#pending.push([id, Promise.resolve(committables)])
    // Before the writer opens, which may clean up what no checkpoint knows.
    await this.#commitUpTo(context.restoredCheckpointId)
    try {
      this.#writer = this.sink.createWriter(
        sinkContext,
        snapshots.flatMap((s) => s.writer),
      )
    } catch (thrown) {
      throw userError(thrown, context, `opening the sink "${this.sink.name}"`)
    }
    if (held.length > 0) await this.#release(held, sinkContext)
  }

  /** A checkpoint holds nothing that waits for a later one. */
  #heldUpTo(checkpointId: number, restored: readonly unknown[]): readonly ReleasedBatch[] {
    const held = restored.filter(isHeldElement).map(({ heldBy, batches }) => ({
      heldBy,
      batches: batches.map(([tag, batch]) => [tag ?? checkpointId, batch] as const),
    }))
    return releasedBatches(held, Number.POSITIVE_INFINITY)
  }

  /** Each with the marker that the stages would write, so that it counts once; without a transactor the sink is at least once here as there. */
  async #release(held: readonly ReleasedBatch[], sinkContext: SinkWriterContext): Promise<void> {
    try {
      const transactor = this.sink.createTransactor?.(sinkContext)
      for (const { marker, batch } of held) {
        if (transactor !== undefined) await transactor.apply(marker, sinkRecords(batch) as readonly SinkRecord<T>[])
        else for (const [at, value] of batch.values.entries()) this.#writer.write(value as T, elementContext(batch, at))
        await this.#writer.ready?.()
      }
      await transactor?.close?.()
    } catch (thrown) {
      throw userError(thrown, this.context, `sink "${this.sink.name}", of what it held in stages,`)
    }
  }

  processElement(value: T, timestamp: number): void {
    this.#element.timestamp = timestamp === NO_TIMESTAMP ? null : timestamp
    try {
      this.#writer.write(value, this.#element)
    } catch (thrown) {
      throw this.#failed(thrown)
    }
  }

  /** False while the writer holds enough: no input is to come. The subtask is woken when there is room again. */
  get writable(): boolean {
    if (this.#waiting) return false
    const ready = this.#ready()
    if (ready === undefined) return true
    this.#waiting = true
    const { context } = this
    ready.then(
      () =>
        context.processingTime.soon(() => {
          this.#waiting = false
        }),
      (thrown) => context.fail(this.#failed(thrown)),
    )
    return false
  }

  #ready(): Promise<void> | undefined {
    try {
      return this.#writer.ready?.()
    } catch (thrown) {
      throw this.#failed(thrown)
    }
  }

  #failed(thrown: unknown): MillraceError {
    return userError(thrown, this.context, `sink "${this.sink.name}"`)
  }

  override processWatermark(watermark: number): void {
    this.#element.currentWatermark = watermark
  }

  override processStatus(): void {}

  override endInput(): void {
    this.#ended = true
  }

  override snapshotState(checkpointId: number): Promise<readonly unknown[]> {
    let committables: Promise<readonly unknown[]>
    let writer: readonly unknown[]
    try {
      committables = Promise.resolve(this.#writer.prepareCommit(checkpointId, this.#ended))
      writer = this.#writer.snapshotState?.(checkpointId) ?? []
    } catch (thrown) {
      throw userError(thrown, this.context, `preparing the commit of sink "${this.sink.name}"`)
    }
    committables.catch(() => {}) // reported through the snapshot below
    this.#pending.push([checkpointId, committables])
    const pending = this.#pending.slice()
    return Promise.all(pending.map(async ([id, c]) => [id, await c] as const)).then(
      (settled) => [{ pending: this.#committer === undefined ? [] : settled.filter(([, c]) => c.length > 0), writer } satisfies SinkSnapshot],
      (thrown) => {
        throw userError(thrown, this.context, `preparing the commit of sink "${this.sink.name}"`)
      },
    )
  }

  override notifyCheckpointComplete(checkpointId: number): Promise<void> {
    return this.#commitUpTo(checkpointId)
  }

  #commitUpTo(checkpointId: number): Promise<void> {
    this.#committing = this.#committing.then(async () => {
      while (this.#pending.length > 0 && this.#pending[0][0] <= checkpointId) {
        const committables = await this.#pending[0][1]
        if (committables.length > 0) await this.#committer?.commit(committables)
        this.#pending.shift()
      }
    })
    return this.#committing.catch((thrown) => {
      throw MillraceError.from(thrown, 'STORAGE', {
        what: `committing to sink "${this.sink.name}" failed`,
        where: `operator "${this.context.name}"`,
        uid: this.context.uid,
      })
    })
  }

  override async close(): Promise<void> {
    await this.#writer?.close()
    await this.#committing.catch(() => {})
    await this.#committer?.close?.()
  }
}
