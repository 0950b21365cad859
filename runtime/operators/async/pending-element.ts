import type { Output } from '../stream-operator.js'

/** Where pending elements and watermarks go. */
export type PendingOutput<Out> = Pick<Output<Out>, 'collect' | 'emitWatermark'>

/** An element whose call has not come to an end, or whose results wait for their turn. */
export class PendingElement<In, Out> {
  results: readonly Out[] | undefined

  constructor(
    readonly value: In,
    /** Epoch ms, or NO_TIMESTAMP. */
    readonly timestamp: number,
  ) {}

  emit(output: PendingOutput<Out>): void {
    for (const result of this.results ?? []) output.collect(result, this.timestamp)
  }
}

/** Elements and watermarks on their way through an asynchronous operator; a number is a watermark. */
export type Pending<In, Out> = PendingElement<In, Out> | number

/** Decides in which order what is pending leaves. */
export interface PendingQueue<In, Out> {
  /** Elements and watermarks. */
  readonly size: number
  add(element: PendingElement<In, Out>): void
  addWatermark(watermark: number): void
  /** The element has its results now. */
  completed(element: PendingElement<In, Out>): void
  /** Emits and forgets all whose turn has come. */
  emit(output: PendingOutput<Out>): void
  /** What has not been emitted, in an order in which it may come again. */
  pending(): Pending<In, Out>[]
}
