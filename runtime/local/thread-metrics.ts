import type { ChainedOperator } from '../task/operator-chain.js'
import type { OperatorMetricsSnapshot, SubtaskMetricsSnapshot } from './run-options.js'
import type { Subtask } from './subtask.js'

export function operatorSnapshot(subtask: Subtask, { plan, metrics, keyed }: ChainedOperator, nowMs: number): OperatorMetricsSnapshot {
  const watermark = Number.isFinite(metrics.watermark) ? metrics.watermark : null
  const isLast = plan.uid === subtask.options.chain.at(-1)?.plan.uid
  const isHead = plan.uid === subtask.options.vertex.id
  return {
    uid: plan.uid,
    name: plan.name,
    vertex: subtask.options.vertex.id,
    subtask: subtask.options.subtask,
    recordsIn: metrics.recordsIn,
    recordsOut: metrics.recordsOut,
    bytesIn: isHead ? subtask.bytesIn : 0,
    bytesOut: isLast ? subtask.bytesOut : 0,
    late: metrics.late,
    watermark,
    watermarkLagMs: watermark === null ? null : nowMs - watermark,
    stateEntries: keyed?.backend.entries ?? 0,
    checkpointBytes: metrics.checkpointBytes,
    counters: Object.fromEntries([...metrics.counters].map(([name, counter]) => [name, counter.count])),
    gauges: Object.fromEntries([...metrics.gauges].map(([name, read]) => [name, read()])),
    accumulators: metrics.accumulators.parts(),
  }
}

export function subtaskSnapshot(subtask: Subtask): SubtaskMetricsSnapshot {
  return {
    vertex: subtask.options.vertex.id,
    subtask: subtask.options.subtask,
    busyMs: Math.round(subtask.busyMs),
    backPressuredMs: Math.round(subtask.backPressuredMs),
    idleMs: Math.round(subtask.idleMs),
  }
}
