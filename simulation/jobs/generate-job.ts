import { Draw, type Random } from './draw.js'
import { GeneratedJob } from './generated-job.js'
import type { Poison } from './guard.js'
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

/** Kinds that do not look at how the items of different keys follow each other, nor at what else came than what they got. */
export const POISONABLE: readonly JobKind[] = [
  'tumbling',
  'sliding',
  'session',
  'window-all',
  'interval-join',
  'window-join',
  'co-process',
  'keyed-state',
  'timers',
  'three-stage',
]

export interface GenerateOptions {
  /** All by default. */
  readonly kinds?: readonly JobKind[]
  /** Says which items a function throws for, in jobs for which that makes sense. */
  readonly poison?: Random
}

/** A job, its records and what must come out: the same for the same numbers of `random`. */
export function generateJob(random: Random, { kinds = JOB_KINDS, poison }: GenerateOptions = {}): GeneratedJob {
  const draw = new Draw(random)
  const kind = draw.pick(kinds)
  const parallelism = draw.between(1, 3)
  const maxParallelism = draw.pick([4, 8, 8, 16])
  const plan = PLANS[kind](draw)
  return new GeneratedJob(
    kind,
    plan,
    parallelism,
    maxParallelism,
    poison && POISONABLE.includes(kind) ? drawPoison(new Draw(poison), plan) : undefined,
  )
}

function drawPoison(draw: Draw, { puts }: JobPlan): Poison {
  const policy = draw.chance(0.7) ? 'bury' : 'repair'
  return { ids: new Set(puts.filter(() => draw.chance(0.08)).map(({ item }) => item.id)), policy }
}
