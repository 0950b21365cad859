export * from './broadcast-state.js'
export { ChangeList, REMOVED } from './change-list.js'
export * from './checked-bytes.js'
export { deltaRows } from './delta-segment.js'
export * from './key-groups.js'
export * from './key-loader.js'
export * from './keyed-state-backend.js'
export * from './keys.js'
export * from './merge-segments.js'
export * from './operator-state-backend.js'
export {
  applyOperatorStateChanges,
  foldOperatorStateChanges,
  type NamedStateChange,
  type OperatorStateChanges,
  WholeState,
} from './operator-state-changes.js'
export * from './redistribution.js'
export * from './segment.js'
export { decodeFooter, footerLength, type SegmentFooter } from './segment-footer.js'
export { DEFAULT_BLOCK_BYTES } from './segment-writer.js'
export * from './state-codec.js'
export * from './state-handles.js'
export * from './state-on-demand.js'
export * from './state-table.js'
export * from './structural.js'
export * from './sweep-budget.js'
export * from './tail-rows.js'
export * from './time-heap.js'
export * from './time-to-live.js'
export * from './timed-codec.js'
export { IMPLIED_TIMERS_TABLE } from './timed-rows.js'
export * from './timer-queue.js'
