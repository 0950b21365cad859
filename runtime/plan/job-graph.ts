import type { KeyType, ResourceBindings } from '../core/index.js'
import type { PartitionKind, StreamNode } from './stream-graph.js'

/** One operator in the plan: plain data, the same wherever the job module is loaded. */
export interface OperatorPlan {
  readonly uid: string
  /** Whether the job named the uid, or the source or sink, by whose name it goes then; state of an operator with a made-up one is lost when the graph changes shape. */
  readonly uidGiven: boolean
  readonly name: string
  readonly kind: string
  readonly keyed: boolean
  /** Of which types its keys are, sorted; absent where the job has not declared it. */
  readonly keyTypes?: readonly KeyType[]
  readonly isSource: boolean
  readonly isSink: boolean
  /** Operators of the same vertex it reads from, in the same thread by direct calls. */
  readonly chainedInputs: readonly { readonly uid: string; readonly sideTag: string | null }[]
}

/** A chain of operators that runs as one subtask: one stage on AWS. */
export interface VertexPlan {
  /** uid of its first operator. */
  readonly id: string
  readonly name: string
  readonly parallelism: number
  readonly maxParallelism: number
  /** Subtask i of all vertices of a group shares a slot. */
  readonly slotSharingGroup: string
  /** First the head, then each after those it reads from. */
  readonly operators: readonly OperatorPlan[]
}

/** A connection between two vertices. Its index in the plan names its channels. */
export interface EdgePlan {
  readonly index: number
  readonly from: string
  readonly fromOperator: string
  readonly to: string
  readonly sideTag: string | null
  /** Which of the reader's inputs it feeds. */
  readonly input: 0 | 1
  readonly partitioning: PartitionKind
}

/** The plan: frozen data, vertices in topological order. */
export interface JobGraph {
  readonly job: string
  readonly vertices: readonly VertexPlan[]
  readonly edges: readonly EdgePlan[]
}

/** The plan with the code behind it. */
export interface CompiledJob {
  readonly graph: JobGraph
  readonly nodes: ReadonlyMap<string, StreamNode>
  /** What its external resources are called where it runs. */
  readonly bindings?: ResourceBindings | undefined
}

export function vertexOf(graph: JobGraph, id: string): VertexPlan {
  return graph.vertices.find((vertex) => vertex.id === id) as VertexPlan
}
