import { MillraceError } from '../core/index.js'
import { UPPER_BOUND_MAX_PARALLELISM } from '../state/key-groups.js'
import type { CompiledJob, EdgePlan, JobGraph, OperatorPlan, VertexPlan } from './job-graph.js'
import { keyTypesOf } from './key-types.js'
import type { PartitionKind, StreamEdge, StreamGraph, StreamNode } from './stream-graph.js'

const DEFAULT_SLOT_SHARING_GROUP = 'default'

interface Resolved {
  readonly node: StreamNode
  readonly uid: string
  readonly uidGiven: boolean
  readonly parallelism: number
  readonly maxParallelism: number
  readonly slotSharingGroup: string
}

/** StreamGraph -> chained JobGraph. Throws UID_DUPLICATE, PLAN_INVALID, JOB_EMPTY. */
export function compile(stream: StreamGraph): CompiledJob {
  const resolved = resolveNodes(stream)
  const headOf = new Map<StreamNode, StreamNode>()
  for (const node of stream.nodes) {
    const edge = node.inputs[0]
    const chained = edge !== undefined && isChainable(edge, node, resolved, stream)
    headOf.set(node, chained ? (headOf.get(edge.from) as StreamNode) : node)
  }
  const heads = [...new Set(headOf.values())]
  const graph: JobGraph = {
    job: stream.jobName,
    vertices: heads.map((head) =>
      vertexPlan(
        head,
        stream.nodes.filter((n) => headOf.get(n) === head),
        resolved,
        headOf,
      ),
    ),
    edges: edgePlans(stream, headOf, resolved),
  }
  return { graph: deepFreeze(graph), nodes: new Map([...resolved.values()].map((r) => [r.uid, r.node])) }
}

function resolveNodes(stream: StreamGraph): Map<StreamNode, Resolved> {
  if (!stream.nodes.some((node) => node.isSink)) {
    throw new MillraceError('JOB_EMPTY', {
      what: `job "${stream.jobName}" has no sink`,
      todo: 'End each stream with sinkTo(), print() or collect().',
    })
  }
  const resolved = new Map<StreamNode, Resolved>()
  const seen = new Map<string, StreamNode>()
  const ownName = uniqueNames(stream)
  for (const node of stream.nodes) {
    const given = node.uid ?? ownName(node)
    const uid = given ?? `${node.kind}-${node.ordinal}`
    const other = seen.get(uid)
    if (other !== undefined) {
      throw new MillraceError('UID_DUPLICATE', {
        what: `two operators have the uid "${uid}": "${other.name}" and "${node.name}"`,
        where: `job "${stream.jobName}"`,
        todo: 'Give each operator a uid of its own: its state is found by it.',
      })
    }
    seen.set(uid, node)
    const maxParallelism = node.maxParallelism ?? stream.maxParallelism
    if (node.nonParallel && (node.parallelism ?? 1) !== 1) throw notParallel(node)
    const parallelism = node.nonParallel ? 1 : (node.parallelism ?? stream.defaultParallelism)
    checkCount('max parallelism', maxParallelism, UPPER_BOUND_MAX_PARALLELISM, node)
    checkCount('parallelism', parallelism, maxParallelism, node)
    resolved.set(node, {
      node,
      uid,
      uidGiven: given !== undefined,
      parallelism,
      maxParallelism,
      slotSharingGroup: slotSharingGroupOf(node, resolved),
    })
  }
  return resolved
}

/** Sources and sinks that have no uid are found by their name, as long as nothing else is called so. */
function uniqueNames({ nodes }: StreamGraph): (node: StreamNode) => string | undefined {
  const isOutside = ({ source, isSink }: StreamNode) => source !== undefined || isSink
  const taken = new Map<string, number>()
  for (const node of nodes) {
    const called = node.uid ?? (isOutside(node) ? node.name : undefined)
    if (called !== undefined) taken.set(called, (taken.get(called) ?? 0) + 1)
  }
  return (node) => (isOutside(node) && taken.get(node.name) === 1 ? node.name : undefined)
}

/** Inputs come before what reads them, so their groups are known. */
function slotSharingGroupOf(node: StreamNode, resolved: ReadonlyMap<StreamNode, Resolved>): string {
  if (node.slotSharingGroup !== undefined) return node.slotSharingGroup
  const groups = new Set(node.inputs.map(({ from }) => resolved.get(from)?.slotSharingGroup))
  const [group, ...others] = groups
  return group !== undefined && others.length === 0 ? group : DEFAULT_SLOT_SHARING_GROUP
}

function notParallel({ name, parallelism }: StreamNode): MillraceError {
  return new MillraceError('PLAN_INVALID', {
    what: `the parallelism of "${name}" is ${parallelism}, but it sees the whole stream`,
    todo: 'Leave its parallelism at 1, or use keyBy() and window() to compute in several subtasks.',
  })
}

function checkCount(what: string, value: number, limit: number, node: StreamNode): void {
  if (Number.isInteger(value) && value >= 1 && value <= limit) return
  throw new MillraceError('PLAN_INVALID', {
    what: `the ${what} of "${node.name}" is ${value}`,
    todo: `It must be a whole number from 1 to ${limit}${what === 'parallelism' ? ' (the max parallelism)' : ''}.`,
  })
}

function partitioningOf(edge: StreamEdge, node: StreamNode, resolved: Map<StreamNode, Resolved>): PartitionKind {
  if (edge.partitioning !== undefined && edge.partitioning.kind !== 'forward') return edge.partitioning.kind
  const from = resolved.get(edge.from) as Resolved
  const to = resolved.get(node) as Resolved
  if (from.parallelism === to.parallelism) return 'forward'
  if (edge.partitioning === undefined) return 'rebalance'
  throw new MillraceError('PLAN_INVALID', {
    what: `forward() from "${edge.from.name}" (parallelism ${from.parallelism}) to "${node.name}" (${to.parallelism})`,
    todo: 'Forward needs equal parallelism on both sides; leave it out or use rebalance().',
  })
}

function isChainable(edge: StreamEdge, node: StreamNode, resolved: Map<StreamNode, Resolved>, stream: StreamGraph): boolean {
  return (
    stream.chainingEnabled &&
    node.inputs.length === 1 &&
    node.chaining === 'always' &&
    edge.from.chaining !== 'never' &&
    resolved.get(edge.from)?.slotSharingGroup === resolved.get(node)?.slotSharingGroup &&
    partitioningOf(edge, node, resolved) === 'forward'
  )
}

function vertexPlan(
  head: StreamNode,
  members: readonly StreamNode[],
  resolved: Map<StreamNode, Resolved>,
  headOf: Map<StreamNode, StreamNode>,
): VertexPlan {
  const { uid, parallelism, maxParallelism, slotSharingGroup } = resolved.get(head) as Resolved
  return {
    id: uid,
    name: members.map((node) => node.name).join(' -> '),
    parallelism,
    maxParallelism,
    slotSharingGroup,
    operators: members.map(
      (node): OperatorPlan => ({
        uid: (resolved.get(node) as Resolved).uid,
        uidGiven: (resolved.get(node) as Resolved).uidGiven,
        name: node.name,
        kind: node.kind,
        keyed: node.keySelector !== undefined,
        ...keyTypesIn(node),
        isSource: node.source !== undefined,
        isSink: node.isSink,
        chainedInputs: node.inputs
          .filter((edge) => node !== head && headOf.get(edge.from) === head)
          .map((edge) => ({ uid: (resolved.get(edge.from) as Resolved).uid, sideTag: edge.sideTag ?? null })),
      }),
    ),
  }
}

function keyTypesIn(node: StreamNode): Pick<OperatorPlan, 'keyTypes'> {
  const keyTypes = keyTypesOf(node)
  return keyTypes === undefined ? {} : { keyTypes }
}

function edgePlans(stream: StreamGraph, headOf: Map<StreamNode, StreamNode>, resolved: Map<StreamNode, Resolved>): EdgePlan[] {
  const edges: EdgePlan[] = []
  const uidOf = (node: StreamNode) => (resolved.get(node) as Resolved).uid
  for (const node of stream.nodes) {
    if (headOf.get(node) !== node) continue
    for (const edge of node.inputs) {
      edges.push({
        index: edges.length,
        from: uidOf(headOf.get(edge.from) as StreamNode),
        fromOperator: uidOf(edge.from),
        to: uidOf(node),
        sideTag: edge.sideTag ?? null,
        input: edge.input ?? 0,
        partitioning: partitioningOf(edge, node, resolved),
      })
    }
  }
  return edges
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) deepFreeze(part)
  }
  return value
}
