/** Window assigners, triggers and evictors, for job authors. */

export type { Window } from '../../core/index.js'
export { GlobalWindow, TimeWindow } from '../../core/index.js'
export * from '../../operators/window/index.js'
