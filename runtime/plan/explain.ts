import type { EdgePlan, JobGraph, VertexPlan } from './job-graph.js'

export type ExplainFormat = 'text' | 'mermaid' | 'json'

/** The plan for people (`text`), for Markdown (`mermaid`) or for programs (`json`). */
export function explainGraph(graph: JobGraph, format: ExplainFormat = 'text'): string {
  switch (format) {
    case 'json':
      return JSON.stringify(graph, null, 2)
    case 'mermaid':
      return mermaid(graph)
    default:
      return text(graph)
  }
}

function text(graph: JobGraph): string {
  const lines = [`Job ${graph.job}: ${graph.vertices.length} ${graph.vertices.length === 1 ? 'stage' : 'stages'}`]
  graph.vertices.forEach((vertex, index) => {
    lines.push(
      '',
      `Stage ${index + 1}: ${vertex.name}`,
      `  parallelism ${vertex.parallelism}, max parallelism ${vertex.maxParallelism}${groupText(vertex)}`,
    )
    for (const edge of graph.edges.filter((e) => e.to === vertex.id)) lines.push(`  reads ${edgeText(graph, edge)}`)
    for (const operator of vertex.operators) {
      const marks = [operator.kind, operator.keyed ? 'keyed' : '', operator.uidGiven ? '' : 'uid not given'].filter((mark) => mark !== '')
      lines.push(`  ${operator.uid}: ${operator.name} (${marks.join(', ')})`)
    }
  })
  return lines.join('\n')
}

function groupText({ slotSharingGroup }: VertexPlan): string {
  return slotSharingGroup === 'default' ? '' : `, slot sharing group "${slotSharingGroup}"`
}

function edgeText(graph: JobGraph, edge: EdgePlan): string {
  const stage = graph.vertices.findIndex((vertex) => vertex.id === edge.from) + 1
  const output = edge.sideTag === null ? '' : `, side output "${edge.sideTag}"`
  return `stage ${stage} (${edge.fromOperator}${output}) by ${edge.partitioning}${edge.input === 1 ? ' as second input' : ''}`
}

function mermaid(graph: JobGraph): string {
  const lines = ['flowchart LR']
  const nodeId = (vertex: VertexPlan | undefined) => `s${graph.vertices.indexOf(vertex as VertexPlan) + 1}`
  const quote = (label: string) => `"${label.replaceAll('"', '#quot;')}"`
  for (const vertex of graph.vertices) {
    const label = `${vertex.operators.map((operator) => operator.name).join('<br/>')}<br/>x ${vertex.parallelism}`
    lines.push(`  ${nodeId(vertex)}[${quote(label)}]`)
  }
  for (const edge of graph.edges) {
    const from = graph.vertices.find((vertex) => vertex.id === edge.from)
    const to = graph.vertices.find((vertex) => vertex.id === edge.to)
    const label = edge.sideTag === null ? edge.partitioning : `${edge.sideTag}: ${edge.partitioning}`
    lines.push(`  ${nodeId(from)} -->|${quote(label)}| ${nodeId(to)}`)
  }
  return lines.join('\n')
}
