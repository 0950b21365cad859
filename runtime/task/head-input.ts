import { assert, MIN_WATERMARK } from '../core/index.js'
import { keyError, RecordBatch } from '../exchange/index.js'
import type { Intake, StreamOperator } from '../operators/stream-operator.js'
import { TwoInputOperator } from '../operators/two-input-operator.js'
import type { WatermarkProgress } from '../operators/watermark-progress.js'
import type { Any, StreamNode } from '../plan/index.js'
import { type InternalKey, type KeyedStateBackend, toInternalKey } from '../state/index.js'
import type { ChainedOperator } from './operator-chain.js'

type KeySelector = (value: unknown) => unknown

interface UnfinishedBatch {
  readonly batch: RecordBatch
  readonly input: number
  next: number
}

/** Hands what arrives at a subtask to the head of its chain, with the key set before each element of a keyed input. */
export class HeadInput {
  readonly #operator: StreamOperator<Any, Any>
  readonly #two: TwoInputOperator<Any, Any, Any> | undefined
  readonly #backend: KeyedStateBackend | undefined
  readonly #keySelectors: readonly (KeySelector | undefined)[]
  readonly #intake: Intake | undefined
  /** What the operator has not taken yet of the last batch. */
  #unfinished: UnfinishedBatch | undefined
  /** Keys that the next batch needs and that are not in memory. */
  missing: ReadonlySet<InternalKey> = new Set()

  constructor(
    readonly head: ChainedOperator,
    node: Pick<StreamNode, 'keySelector' | 'keySelector2'>,
  ) {
    this.#operator = head.operator
    this.#two = head.operator instanceof TwoInputOperator ? head.operator : undefined
    this.#backend = head.keyed?.backend
    this.#keySelectors = [node.keySelector, node.keySelector2]
    this.#intake = head.operator.intake
  }

  /**
   * Whether the next element may come. Goes on with a batch that the operator did not take whole first; to be asked before each element from
   * the channels when the head may hold back its input.
   */
  ready(): boolean {
    if (this.#intake === undefined) return true
    if (this.#unfinished !== undefined) this.#goOn(this.#unfinished, this.#intake)
    return this.#unfinished === undefined && !this.#intake.blocked
  }

  #goOn(unfinished: UnfinishedBatch, intake: Intake): void {
    const { batch, input } = unfinished
    while (unfinished.next < batch.size && !intake.blocked) {
      const at = unfinished.next++
      this.#process(RecordBatch.of([batch.values[at]], [batch.timestamps[at]]), input)
    }
    if (unfinished.next === batch.size) this.#unfinished = undefined
  }

  /** Whether the rows of all keys of the batch are in memory; if not, {@link missing} are to be loaded first. */
  admits({ values, size }: RecordBatch, input: number): boolean {
    const keySelector = this.#keySelectors[input]
    const onDemand = this.#backend?.onDemand
    if (onDemand === undefined || keySelector === undefined) return true
    const missing = new Set<InternalKey>()
    for (let i = 0; i < size; i++) {
      const key = keyOf(keySelector, values[i])
      if (key !== undefined && !onDemand.has(key)) missing.add(key)
    }
    this.missing = missing
    return missing.size === 0
  }

  /** `input` is 0, or 1 for the second input of an operator with two. */
  processBatch(batch: RecordBatch, input: number): void {
    this.head.metrics.recordsIn += batch.size
    if (this.#intake === undefined) {
      this.#process(batch, input)
      return
    }
    assert(this.#unfinished === undefined, 'a batch comes only when the one before it was taken whole')
    this.#unfinished = { batch, input, next: 0 }
    this.#goOn(this.#unfinished, this.#intake)
  }

  #process(batch: RecordBatch, input: number): void {
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
    if (this.#two !== undefined) {
      this.#two.processWatermarkOf(input, watermark)
      return
    }
    this.head.metrics.watermark = watermark
    this.#operator.processWatermark(watermark)
  }

  processStatus(idle: boolean, input: number): void {
    if (this.#two === undefined) this.#operator.processStatus(idle)
    else this.#two.processStatusOf(input, idle)
  }

  /** What an operator with two inputs has let through; null for others, which let through what their input says. */
  get progress(): WatermarkProgress | null {
    return this.#two?.progress ?? null
  }

  /** Tells an operator that is new how far its inputs, and with two of them itself (`through`), had come. Timers must not fire. */
  restore(through: WatermarkProgress | null, inputs: readonly WatermarkProgress[]): void {
    if (this.#two !== undefined && through !== null) {
      this.#two.restoreWatermark(through, inputs)
      return
    }
    for (const [input, { watermark, idle }] of inputs.entries()) {
      if (watermark > MIN_WATERMARK) this.processWatermark(watermark, input)
      if (idle) this.processStatus(true, input)
    }
  }

  /** One input has ended; the operator's `endInput` is the caller's, once all have. */
  endOf(input: number): void {
    this.#two?.endInputOf(input)
  }
}

/** Undefined where the selector fails: processing the element will say so. */
function keyOf(keySelector: KeySelector, value: unknown): InternalKey | undefined {
  try {
    return toInternalKey(keySelector(value))
  } catch {
    return undefined
  }
}
