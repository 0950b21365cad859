import type { Sink, SinkMarker, SinkRecord, SinkTransactor } from 'millrace'

/** What is outside behind the sinks of one job: what was written, with the marker that keeps each commit's from being written twice. */
export class MarkedOutputs {
  #written: { readonly sink: string; readonly value: unknown }[] = []
  readonly #markers = new Map<string, Pick<SinkMarker, 'attempt' | 'version'>>()

  sinkFor(name: string): Sink<unknown> {
    const transactor: SinkTransactor<unknown> = {
      apply: async (marker, records) => this.#apply(name, marker, records),
      fence: async (writer, attempt) => this.#fence(writer, attempt),
    }
    const createWriter = () => {
      throw new Error('a stage writes through the transactor')
    }
    return { name, createTransactor: () => transactor, createWriter }
  }

  #apply(sink: string, { writer, attempt, version }: SinkMarker, records: readonly SinkRecord<unknown>[]): void {
    const before = this.#markers.get(writer) ?? { attempt: 0, version: 0 }
    if (before.attempt > attempt || (before.attempt === attempt && before.version >= version)) return
    this.#markers.set(writer, { attempt, version })
    for (const { value } of records) this.#written.push({ sink, value })
  }

  #fence(writer: string, attempt: number): void {
    if ((this.#markers.get(writer)?.attempt ?? 0) < attempt) this.#markers.set(writer, { attempt, version: 0 })
  }

  /** So many were written. */
  get count(): number {
    return this.#written.length
  }

  /** Forgets what was written behind the first `count`: a restore undoes it. */
  undoBehind(count: number): void {
    this.#written.length = count
  }

  /** By sink, in the order in which they were written. */
  get bySink(): ReadonlyMap<string, readonly { readonly value: unknown }[]> {
    const bySink = new Map<string, { readonly value: unknown }[]>()
    for (const output of this.#written) bySink.set(output.sink, [...(bySink.get(output.sink) ?? []), output])
    return bySink
  }
}
