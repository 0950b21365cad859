import type { FaultKind, FaultRates } from './faults.js'

/** What the operator of the job does, as weights of one decision after another. */
export interface ActionWeights {
  readonly checkpoint?: number
  readonly savepoint?: number
  readonly restore?: number
  readonly rescale?: number
  readonly stop?: number
  readonly rollback?: number
  readonly fork?: number
  readonly split?: number
  readonly merge?: number
  readonly wait?: number
}

/** A mix of faults and actions. */
export interface Profile {
  readonly name: string
  readonly what: string
  readonly rates: FaultRates
  readonly actions: ActionWeights
  /** Decisions of the operator while faults happen. */
  readonly decisions: number
  /** Chance that a shard which is split or merged away has no successors, or that they never get a record. */
  readonly silent?: number
  /** The longest that one invocation may be delayed in all, ms. */
  readonly longestStallMs?: number
  readonly poison?: boolean
  /** How long a stream may not be read, ms; 20 minutes by default. */
  readonly longestPauseMs?: number
  /** 30 minutes by default. */
  readonly cacheMaxAgeMs?: number
  /** A checkpoint may be under way for hours. */
  readonly patient?: boolean
  /** Chance that a rescale does not stop the job first; 0.3 by default. */
  readonly abrupt?: number
  /** Only jobs of these kinds. */
  readonly kinds?: readonly string[]
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const CRASHES: FaultRates = { 'crash-before': 0.004, 'crash-after': 0.006, 'throw-before': 0.004, 'throw-after': 0.006, 'won-as-lost': 0.006 }
const STORES: FaultRates = { throttled: 0.0008, 'torn-read': 0.03, 'blob-missing': 0.01, 'log-expired': 0.02 }
const CHANNELS: FaultRates = { 'entries-refused': 0.03, 'entry-late': 0.015, 'entry-doubled': 0.01, 'entries-reordered': 0.02 }
const POKES: FaultRates = { 'poke-lost': 0.05, 'poke-doubled': 0.03, 'poke-late': 0.05, 'poke-early': 0.02, 'poke-old-revision': 0.05 }
const FUNCTIONS: FaultRates = {
  'other-instance': 0.1,
  'instances-lost': 0.01,
  'other-boundaries': 0.5,
  'batch-doubled': 0.02,
  'batch-repeated': 0.03,
  'answer-lost': 0.03,
  'position-back': 0.02,
  'given-up': 0.02,
  'delivery-paused': 0.005,
  'mapping-lingers': 0.5,
}
const CLOCKS: FaultRates = { 'clock-off': 0.5, 'clock-jump': 0.01 }
const ZOMBIES: FaultRates = { stall: 0.008 }
const CONTROL: FaultRates = { 'abort-at-random': 0.15, 'back-to-back': 0.2, 'coordinator-again': 0.1 }

const LIGHT: FaultRates = { ...scaled({ ...CRASHES, ...STORES, ...CHANNELS, ...POKES, ...ZOMBIES }, 0.4), ...FUNCTIONS, ...scaled(CONTROL, 0.5) }

const CHECKPOINTS: ActionWeights = { checkpoint: 4, wait: 2 }

export const PROFILES: readonly Profile[] = [
  { name: 'calm', what: 'no faults, checkpoints only', rates: {}, actions: CHECKPOINTS, decisions: 4 },
  {
    name: 'crashes',
    what: 'programs end and calls fail',
    rates: { ...CRASHES, ...STORES, ...FUNCTIONS, ...CONTROL },
    actions: CHECKPOINTS,
    decisions: 5,
  },
  {
    name: 'channels',
    what: 'streams between stages lose order, double and refuse',
    rates: { ...scaled(CHANNELS, 4), ...LIGHT },
    actions: CHECKPOINTS,
    decisions: 5,
  },
  {
    name: 'zombies',
    what: 'invocations that time out live on',
    rates: { ...LIGHT, stall: 0.025, 'batch-doubled': 0.1 },
    actions: { ...CHECKPOINTS, restore: 1 },
    decisions: 5,
  },
  {
    name: 'ticks',
    what: 'pokes and control race with batches',
    rates: { ...LIGHT, ...scaled(POKES, 2), ...CONTROL, ...CLOCKS },
    actions: { checkpoint: 6, wait: 1 },
    decisions: 7,
  },
  {
    name: 'restore',
    what: 'restores from any checkpoint',
    rates: LIGHT,
    actions: { checkpoint: 4, savepoint: 1, restore: 3, wait: 1 },
    decisions: 7,
  },
  {
    name: 'restore-zombies',
    what: 'restores while invocations of former attempts live on',
    rates: { ...LIGHT, stall: 0.02, 'restore-again': 0.3 },
    actions: { checkpoint: 4, restore: 3, split: 0.5, wait: 1 },
    decisions: 7,
  },
  {
    name: 'rescale',
    what: 'other parallelism, other revisions, rollbacks',
    rates: LIGHT,
    actions: { checkpoint: 3, restore: 0.5, rescale: 2, rollback: 1, wait: 1 },
    decisions: 7,
  },
  {
    name: 'rescale-zombies',
    what: 'other parallelism while invocations of former attempts live on',
    rates: { ...LIGHT, stall: 0.03 },
    actions: { checkpoint: 2, restore: 1, rescale: 4 },
    decisions: 7,
    abrupt: 0.8,
    longestStallMs: 10 * MINUTE,
  },
  { name: 'stop', what: 'stops with a savepoint', rates: LIGHT, actions: { checkpoint: 2, stop: 3, rollback: 1, wait: 1 }, decisions: 5 },
  {
    name: 'reshard',
    what: 'shards of the sources split, merge and end, while some have not heard of a checkpoint that others have cut at',
    rates: { ...LIGHT, 'poke-lost': 0.1, 'poke-late': 0.15 },
    actions: { checkpoint: 4, split: 2, merge: 2, restore: 0.7, wait: 1 },
    decisions: 7,
    silent: 0.3,
  },
  {
    name: 'reshard-restore',
    what: 'restores behind splits and merges, while mappings of former attempts go on to deliver',
    rates: { ...LIGHT, 'mapping-lingers': 1 },
    actions: { checkpoint: 2, restore: 3, split: 3, merge: 1 },
    decisions: 8,
  },
  {
    name: 'fork',
    what: 'other jobs begin with checkpoints of this one',
    rates: LIGHT,
    actions: { checkpoint: 4, fork: 2, restore: 0.5, wait: 1 },
    decisions: 5,
  },
  {
    name: 'slow',
    what: 'hours pass in the middle of everything',
    rates: { ...LIGHT, stall: 0.01, 'delivery-paused': 0.03, 'log-expired': 0.1, 'clock-off': 0.5 },
    actions: { ...CHECKPOINTS, restore: 0.5, wait: 4 },
    decisions: 5,
    longestStallMs: 5 * HOUR,
  },
  {
    name: 'clean-up',
    what: 'what nothing refers to is deleted in the middle of everything',
    rates: { ...LIGHT, 'delivery-paused': 0.02, 'abort-at-random': 0.1, 'restore-again': 0.2, stall: 0.01 },
    actions: { checkpoint: 5, savepoint: 0.7, restore: 2.5, rescale: 0.5, stop: 0.3, rollback: 0.3, fork: 0.5, wait: 4 },
    decisions: 10,
    longestStallMs: 2 * MINUTE,
    longestPauseMs: 2.5 * HOUR,
    cacheMaxAgeMs: 3 * MINUTE,
    patient: true,
  },
  { name: 'clocks', what: 'clocks are off and jump', rates: { ...LIGHT, ...CLOCKS, 'clock-jump': 0.05 }, actions: CHECKPOINTS, decisions: 5 },
  {
    name: 'poison',
    what: 'records that the job cannot process',
    rates: LIGHT,
    actions: { ...CHECKPOINTS, restore: 0.5 },
    decisions: 5,
    poison: true,
  },
  {
    name: 'everything',
    what: 'all of it',
    rates: { ...CRASHES, ...STORES, ...CHANNELS, ...POKES, ...FUNCTIONS, ...CLOCKS, ...ZOMBIES, ...CONTROL, 'restore-again': 0.2 },
    actions: { checkpoint: 6, savepoint: 0.5, restore: 1.5, rescale: 0.7, stop: 0.7, rollback: 0.5, fork: 0.3, split: 1.5, merge: 1.5, wait: 1 },
    decisions: 8,
    silent: 0.2,
    longestStallMs: 2 * HOUR,
  },
]

export const DEFAULT_LONGEST_STALL_MS = 40 * MINUTE
export const DEFAULT_LONGEST_PAUSE_MS = 20 * MINUTE

export function profileNamed(name: string): Profile | undefined {
  return PROFILES.find((profile) => profile.name === name)
}

function scaled(rates: FaultRates, by: number): FaultRates {
  return Object.fromEntries(Object.entries(rates).map(([kind, rate]) => [kind as FaultKind, rate * by]))
}
