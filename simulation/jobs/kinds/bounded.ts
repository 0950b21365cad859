import type { Draw } from '../draw.js'
import type { JobPlan } from '../job-plan.js'
import { windowJoinJob } from './joins.js'
import { threeStageJob } from './three-stage.js'
import { timersJob } from './timers.js'
import { unionJob } from './union.js'
import { keyedWindowsJob, windowAllJob } from './windows.js'

const PLANS: readonly ((draw: Draw) => JobPlan)[] = [
  (draw) => keyedWindowsJob(draw, 'tumbling'),
  (draw) => keyedWindowsJob(draw, 'session'),
  windowAllJob,
  windowJoinJob,
  threeStageJob,
  timersJob,
  unionJob,
]

/** Splits end behind their last records, and with them the job: the end is what makes everything fire, for some the only thing. */
export function boundedJob(draw: Draw): JobPlan {
  const plan = draw.pick(PLANS)(draw)
  const streams = plan.streams.map((stream) =>
    draw.chance(0.3) ? { ...stream, timing: { ...stream.timing, generator: 'none' as const, assignedBehind: false } } : stream,
  )
  return { ...plan, name: `bounded ${plan.name}`, streams, ends: true }
}
