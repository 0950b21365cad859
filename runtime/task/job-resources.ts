import { type ExternalResource, MillraceError, type ResourceBindings, type Sink } from '../core/index.js'
import type { CompiledJob, StreamNode, VertexPlan } from '../plan/index.js'

/** What the sources and sinks of a vertex touch outside, each once for each way of access. */
export function resourcesOf(job: CompiledJob, vertex: VertexPlan): readonly ExternalResource[] {
  const found = new Map<string, ExternalResource>()
  for (const { uid, isSink } of vertex.operators) {
    const node = job.nodes.get(uid) as StreamNode
    const touching = isSink ? sinkOf(node) : node.source?.source
    for (const { name, kind, access } of touching?.resources ?? []) found.set(`${access} ${kind} ${name}`, { name, kind, access })
  }
  return [...found.values()]
}

/** By shape: the job may have been built with another copy of Millrace. */
export function sinkOf(node: StreamNode): Sink<unknown> | undefined {
  return ((node.createOperator as NonNullable<StreamNode['createOperator']>)() as { readonly sink?: Sink<unknown> }).sink
}

/** Throws OPTION_INVALID for a binding of a name that no source or sink has: nothing would come of it. */
export function checkBindings(job: CompiledJob): void {
  const bound = Object.keys(job.bindings ?? {})
  if (bound.length === 0) return
  const names = [...new Set(job.graph.vertices.flatMap((vertex) => resourcesOf(job, vertex)).map(({ name }) => name))]
  for (const name of bound) {
    if (names.includes(name) && job.bindings?.[name] !== '') continue
    const what = names.includes(name) ? `"${name}" is bound to nothing` : `"${name}" is bound, and no source or sink of job "${job.graph.job}" has it`
    throw new MillraceError('OPTION_INVALID', {
      what,
      todo: names.length === 0 ? 'The job names no streams, tables or buckets: leave the binding out.' : `Bind one of: ${names.join(', ')}.`,
    })
  }
}

export function physicalName(bindings: ResourceBindings | undefined, name: string): string {
  return bindings !== undefined && Object.hasOwn(bindings, name) ? bindings[name] : name
}
