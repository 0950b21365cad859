import type { Pending, PendingElement, PendingOutput, PendingQueue } from './pending-element.js'

/** Results leave in the order of the elements (Flink's OrderedStreamElementQueue). */
export class OrderedQueue<In, Out> implements PendingQueue<In, Out> {
  #items: Pending<In, Out>[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  add(element: PendingElement<In, Out>): void {
    this.#items.push(element)
  }

  addWatermark(watermark: number): void {
    this.#items.push(watermark)
  }

  completed(): void {}

  emit(output: PendingOutput<Out>): void {
    while (this.#head < this.#items.length) {
      const item = this.#items[this.#head]
      if (typeof item !== 'number' && item.results === undefined) break
      // Before emitting: what throws downstream must not be emitted twice.
      this.#head++
      if (typeof item === 'number') output.emitWatermark(item)
      else item.emit(output)
    }
    if (this.#head === this.#items.length || this.#head > 1024) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
  }

  pending(): Pending<In, Out>[] {
    return this.#items.slice(this.#head)
  }
}
