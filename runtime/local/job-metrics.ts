import type { JobGraph } from '../plan/index.js'
import type { MetricsSnapshot, OperatorMetricsSnapshot, SubtaskMetricsSnapshot } from './run-options.js'

export interface ThreadMetrics {
  readonly operators: readonly OperatorMetricsSnapshot[]
  readonly subtasks: readonly SubtaskMetricsSnapshot[]
}

/** The job's metrics from those of its threads. */
export function aggregateMetrics(
  graph: JobGraph,
  parts: readonly ThreadMetrics[],
  job: Pick<MetricsSnapshot, 'job' | 'status' | 'timeMs' | 'attempt' | 'lastCheckpoint' | 'checkpoints'>,
): MetricsSnapshot {
  const operators = parts.flatMap((part) => part.operators)
  const plans = graph.vertices.flatMap((vertex) => vertex.operators)
  const uids = (test: (plan: (typeof plans)[number]) => boolean) => new Set(plans.filter(test).map((plan) => plan.uid))
  const sources = uids((plan) => plan.isSource)
  const sinks = uids((plan) => plan.isSink)
  const watermarks = operators.map((operator) => operator.watermark).filter((watermark) => watermark !== null)
  return {
    ...job,
    operators,
    subtasks: parts.flatMap((part) => part.subtasks),
    recordsIn: sum(operators.filter((operator) => sources.has(operator.uid)).map((operator) => operator.recordsIn)),
    recordsOut: sum(operators.filter((operator) => sinks.has(operator.uid)).map((operator) => operator.recordsIn)),
    watermark: watermarks.length === 0 ? null : Math.min(...watermarks),
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0)
}
