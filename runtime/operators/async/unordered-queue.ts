import type { Pending, PendingElement, PendingOutput, PendingQueue } from './pending-element.js'

/** The elements between two watermarks. */
interface Segment<In, Out> {
  readonly waiting: Set<PendingElement<In, Out>>
  completed: PendingElement<In, Out>[]
  /** The watermark that ends it; undefined for the last segment. */
  watermark: number | undefined
}

/** Results leave as they come, but never past a watermark, in either direction (Flink's UnorderedStreamElementQueue). */
export class UnorderedQueue<In, Out> implements PendingQueue<In, Out> {
  size = 0
  readonly #segments: Segment<In, Out>[] = [emptySegment()]
  readonly #segmentOf = new Map<PendingElement<In, Out>, Segment<In, Out>>()

  add(element: PendingElement<In, Out>): void {
    const segment = this.#last
    segment.waiting.add(element)
    this.#segmentOf.set(element, segment)
    this.size++
  }

  addWatermark(watermark: number): void {
    this.#last.watermark = watermark
    this.#segments.push(emptySegment())
    this.size++
  }

  completed(element: PendingElement<In, Out>): void {
    const segment = this.#segmentOf.get(element)
    if (segment === undefined) return
    this.#segmentOf.delete(element)
    segment.waiting.delete(element)
    segment.completed.push(element)
  }

  emit(output: PendingOutput<Out>): void {
    for (;;) {
      const [first] = this.#segments
      const { completed, waiting, watermark } = first
      first.completed = []
      this.size -= completed.length
      for (const element of completed) element.emit(output)
      if (waiting.size > 0 || watermark === undefined) return
      this.#segments.shift()
      this.size--
      output.emitWatermark(watermark)
    }
  }

  pending(): Pending<In, Out>[] {
    return this.#segments.flatMap(({ completed, waiting, watermark }) => [...completed, ...waiting, ...(watermark === undefined ? [] : [watermark])])
  }

  get #last(): Segment<In, Out> {
    return this.#segments[this.#segments.length - 1]
  }
}

function emptySegment<In, Out>(): Segment<In, Out> {
  return { waiting: new Set(), completed: [], watermark: undefined }
}
