import { keyError, type RecordBatch } from '../exchange/index.js'
import type { StreamOperator } from '../operators/stream-operator.js'
import { TwoInputOperator } from '../operators/two-input-operator.js'
import type { Any, StreamNode } from '../plan/index.js'
import type { KeyedStateBackend } from '../state/index.js'
import type { ChainedOperator } from './operator-chain.js'

type KeySelector = (value: unknown) => unknown

/** Hands what arrives at a subtask to the head of its chain, with the key set before each element of a keyed input. */
export class HeadInput {
  readonly #operator: StreamOperator<Any, Any>
  readonly #two: TwoInputOperator<Any, Any, Any> | undefined
  readonly #backend: KeyedStateBackend | undefined
  readonly #keySelectors: readonly (KeySelector | undefined)[]

  constructor(
    readonly head: ChainedOperator,
    node: Pick<StreamNode, 'keySelector' | 'keySelector2'>,
  ) {
    this.#operator = head.operator
    this.#two = head.operator instanceof TwoInputOperator ? head.operator : undefined
    this.#backend = head.keyed?.backend
    this.#keySelectors = [node.keySelector, node.keySelector2]
  }

  /** `input` is 0, or 1 for the second input of an operator with two. */
  processBatch(batch: RecordBatch, input: number): void {
    this.head.metrics.recordsIn += batch.size
    const keySelector = this.#keySelectors[input]
    if (input === 0) this.#first(batch, keySelector)
    else this.#second(batch, keySelector, this.#two as TwoInputOperator<Any, Any, Any>)
  }

  #first({ values, timestamps, size }: RecordBatch, keySelector: KeySelector | undefined): void {
    const operator = this.#operator
    const backend = this.#backend
    if (keySelector === undefined || backend === undefined) {
      for (let i = 0; i < size; i++) operator.processElement(values[i], timestamps[i])
      return
    }
    for (let i = 0; i < size; i++) {
      this.#setKey(backend, keySelector, values[i])
      operator.processElement(values[i], timestamps[i])
    }
  }

  #second({ values, timestamps, size }: RecordBatch, keySelector: KeySelector | undefined, operator: TwoInputOperator<Any, Any, Any>): void {
    for (let i = 0; i < size; i++) {
      if (keySelector !== undefined) this.#setKey(this.#backend as KeyedStateBackend, keySelector, values[i])
      operator.processElement2(values[i], timestamps[i])
    }
  }

  #setKey(backend: KeyedStateBackend, keySelector: KeySelector, value: unknown): void {
    try {
      backend.setCurrentKey(keySelector(value))
    } catch (thrown) {
      throw keyError(thrown, this.head.plan)
    }
  }

  processWatermark(watermark: number, input: number): void {
    this.head.metrics.watermark = watermark
    if (this.#two === undefined) this.#operator.processWatermark(watermark)
    else this.#two.processWatermarkOf(input, watermark)
  }

  processStatus(idle: boolean, input: number): void {
    if (this.#two === undefined) this.#operator.processStatus(idle)
    else this.#two.processStatusOf(input, idle)
  }

  /** One input has ended; the operator's `endInput` is the caller's, once all have. */
  endOf(input: number): void {
    this.#two?.endInputOf(input)
  }
}
