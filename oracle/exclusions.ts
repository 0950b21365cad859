import type { Mode } from './modes.js'

const GENERATOR_NOT_IN_SNAPSHOT = 'what a watermark generator has seen is not in the snapshot, in Flink neither'
const GENERATOR_OF_EACH_SUBTASK = 'each subtask has a watermark generator of its own, which sees only its share'
const FIRES_WITH_REPEATED = 'a timer registered for the past fires with the next watermark, which after a restore is the repeated one'

/** Cases whose expected results a mode cannot have, and why. */
export const EXCLUSIONS: Readonly<Record<Mode, Readonly<Record<string, string>>>> = {
  plain: {},
  'restore-every-step': {
    'assign-bounded': GENERATOR_NOT_IN_SNAPSHOT,
    'assign-punctuated': GENERATOR_NOT_IN_SNAPSHOT,
    'timer-duplicate': FIRES_WITH_REPEATED,
    'timer-past': FIRES_WITH_REPEATED,
  },
  batches: {},
  'parallelism-2': {
    'assign-bounded': GENERATOR_OF_EACH_SUBTASK,
    'assign-punctuated': GENERATOR_OF_EACH_SUBTASK,
    'async-ordered': 'results wait for earlier ones of their own subtask only',
  },
}
