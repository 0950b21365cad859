import { Draw, type Random } from './draw.js'
import { GeneratedJob } from './generated-job.js'
import type { JobPlan } from './job-plan.js'
import { boundedJob } from './kinds/bounded.js'
import { broadcastJob } from './kinds/broadcast.js'
import { coProcessJob } from './kinds/co-process.js'
import { intervalJoinJob, windowJoinJob } from './kinds/joins.js'
import { keyedStateJob } from './kinds/keyed-state.js'
import { lateJob } from './kinds/late.js'
import { operatorStateJob } from './kinds/operator-state.js'
import { processingTimeJob } from './kinds/processing-time.js'
import { randomJob } from './kinds/random.js'
import { sideOutputsJob } from './kinds/side-outputs.js'
import { statelessJob } from './kinds/stateless.js'
import { threeStageJob } from './kinds/three-stage.js'
import { timersJob } from './kinds/timers.js'
import { unionJob } from './kinds/union.js'
import { keyedWindowsJob, windowAllJob } from './kinds/windows.js'

const PLANS = {
  stateless: statelessJob,
  tumbling: (draw: Draw) => keyedWindowsJob(draw, 'tumbling'),
  sliding: (draw: Draw) => keyedWindowsJob(draw, 'sliding'),
  session: (draw: Draw) => keyedWindowsJob(draw, 'session'),
  'window-all': windowAllJob,
  late: lateJob,
  'interval-join': intervalJoinJob,
  'window-join': windowJoinJob,
  'co-process': coProcessJob,
  'keyed-state': keyedStateJob,
  timers: timersJob,
  broadcast: broadcastJob,
  'operator-state': operatorStateJob,
  random: randomJob,
  'processing-time': processingTimeJob,
  union: unionJob,
  'three-stage': threeStageJob,
  'side-outputs': sideOutputsJob,
  bounded: boundedJob,
} satisfies Readonly<Record<string, (draw: Draw) => JobPlan>>

export type JobKind = keyof typeof PLANS

export const JOB_KINDS = Object.keys(PLANS) as readonly JobKind[]

export interface GenerateOptions {
  /** All by default. */
  readonly kinds?: readonly JobKind[]
}

/** A job, its records and what must come out: the same for the same numbers of `random`. */
export function generateJob(random: Random, { kinds = JOB_KINDS }: GenerateOptions = {}): GeneratedJob {
  const draw = new Draw(random)
  const kind = draw.pick(kinds)
  const parallelism = draw.between(1, 3)
  const maxParallelism = draw.pick([4, 8, 8, 16])
  return new GeneratedJob(kind, PLANS[kind](draw), parallelism, maxParallelism)
}
