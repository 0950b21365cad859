import type { Partitioning, Source, WatermarkStrategy } from '../core/index.js'
import type { StreamOperator } from '../operators/stream-operator.js'

export type { Partitioning, PartitionKind } from '../core/index.js'

// biome-ignore lint/suspicious/noExplicitAny: the graph joins operators of all element types; the API's types keep them apart
export type Any = any

export const FORWARD: Partitioning = { kind: 'forward' }

export interface StreamEdge {
  readonly from: StreamNode
  /** The side output it reads, or undefined for the main output. */
  readonly sideTag: string | undefined
  /** undefined: forward when the parallelism is equal, else rebalance. */
  readonly partitioning: Partitioning | undefined
  /** 1 for the second input of an operator with two; else 0. */
  readonly input?: 0 | 1
}

export type ChainingStrategy = 'always' | 'head' | 'never'

/** One operator as the job described it. Nodes are made while the job's function runs and only their attributes change after. */
export interface StreamNode {
  readonly ordinal: number
  /** Short kind for the default uid: `map`, `window`, `file-source`. */
  readonly kind: string
  readonly inputs: readonly StreamEdge[]
  readonly source: { readonly source: Source<Any, Any, Any>; readonly strategy: WatermarkStrategy<Any> } | undefined
  /** Makes the operator of one subtask; undefined for sources. */
  readonly createOperator: (() => StreamOperator<Any, Any>) | undefined
  /** Present when the operator's (first) input is keyed. */
  readonly keySelector: ((value: Any) => unknown) | undefined
  /** Present when the second input of a keyed operator with two is keyed too. */
  readonly keySelector2: ((value: Any) => unknown) | undefined
  readonly isSink: boolean
  /** windowAll, and sources that cannot be split. */
  readonly nonParallel: boolean
  uid: string | undefined
  name: string
  parallelism: number | undefined
  maxParallelism: number | undefined
  /** undefined: the group of its inputs when they have one in common, else `default`. */
  slotSharingGroup: string | undefined
  chaining: ChainingStrategy
}

/** Everything a job described. */
export interface StreamGraph {
  readonly jobName: string
  readonly nodes: readonly StreamNode[]
  readonly defaultParallelism: number
  readonly maxParallelism: number
  readonly chainingEnabled: boolean
}
