import { MillraceError } from './errors.js'

/**
 * How long keyed state is kept, in processing time (Flink's StateTtlConfig). Each value of a ValueState, each element of a list and each entry of a map
 * has its own time, which is kept in snapshots.
 *
 * @example
 * valueState<number>({ ttl: { ttlMs: 3_600_000, update: 'read-write' } })
 * new MapStateDescriptor<string, number>('visits').enableTimeToLive({ ttlMs: 60_000 })
 */
export interface StateTtlConfig {
  /** Milliseconds after the last update from which on a value counts as expired. */
  readonly ttlMs: number
  /** What renews the time: writing (default), or reading too. */
  readonly update?: 'create-write' | 'read-write'
  /**
   * Whether a value that has expired and is still there may be read, once: `return-expired` does so only with `cleanupInBackground: false`, since
   * background clean-up takes an expired value away before it is read.
   */
  readonly visibility?: 'never' | 'return-expired'
  /** Removes a few expired rows at each access, and all of them from whole snapshots and restores. Default true. */
  readonly cleanupInBackground?: boolean
}

/** Throws OPTION_INVALID. */
export function checkedTtl(config: StateTtlConfig, stateName: string): StateTtlConfig {
  if (typeof config.ttlMs === 'number' && config.ttlMs > 0) return config
  throw new MillraceError('OPTION_INVALID', {
    what: `ttlMs of state "${stateName}" is ${String(config.ttlMs)}`,
    todo: 'Give a number of milliseconds above 0.',
  })
}
