import { MillraceError } from '../core/index.js'
import type { RestartStrategy, RunOptions } from './run-options.js'

type Limits = readonly [least: number, most: number]

const MOST_MS = 2 ** 31 - 1
const ANY_COUNT: Limits = [0, Number.MAX_SAFE_INTEGER]

const WHOLE_NUMBERS: { readonly [K in keyof RunOptions]?: Limits } = {
  parallelism: [1, 32_768],
  maxParallelism: [1, 32_768],
  checkpointIntervalMs: [0, MOST_MS],
  minPauseBetweenCheckpointsMs: [0, MOST_MS],
  checkpointTimeoutMs: [1, MOST_MS],
  maxConcurrentCheckpoints: [1, 1_000],
  retainedCheckpoints: [1, 10_000],
  tolerableFailedCheckpoints: ANY_COUNT,
  threads: [0, 1_024],
  autoWatermarkIntervalMs: [1, MOST_MS],
  bufferTimeoutMs: [0, MOST_MS],
}

/** What each restart strategy needs; in brackets what it may have. */
const STRATEGIES: { readonly [K in RestartStrategy['kind']]: Readonly<Record<string, Limits>> } = {
  none: {},
  'fixed-delay': { attempts: ANY_COUNT, delayMs: [0, MOST_MS] },
  'exponential-delay': {
    initialDelayMs: [0, MOST_MS],
    maxDelayMs: [0, MOST_MS],
    multiplier: [1, 1_000],
    resetAfterMs: [0, MOST_MS],
    '[attempts]': ANY_COUNT,
  },
  'failure-rate': { failures: ANY_COUNT, intervalMs: [1, MOST_MS], delayMs: [0, MOST_MS] },
}

/** Throws OPTION_INVALID for the first option with a value that cannot be used. */
export function checkOptions(options: RunOptions): void {
  for (const [name, limits] of Object.entries(WHOLE_NUMBERS)) {
    const value = options[name as keyof RunOptions]
    if (value !== undefined && !(Number.isInteger(value) && isWithin(value, limits))) {
      throw invalid(name, value, `It must be a whole number from ${limits[0]} to ${limits[1]}.`)
    }
  }
  for (const name of ['checkpointDir', 'restoreFrom'] as const) {
    const value: unknown = options[name]
    if (value !== undefined && (typeof value !== 'string' || value === '')) throw invalid(name, value, 'It must be a path.')
  }
  const { checkpointMode, restartStrategy, restoreFrom, checkpointDir } = options
  if (restoreFrom === 'latest' && checkpointDir === undefined)
    throw invalid('restoreFrom', restoreFrom, 'It means the newest checkpoint in checkpointDir, which is to be named, too.')
  if (checkpointMode !== undefined && checkpointMode !== 'exactly-once' && checkpointMode !== 'at-least-once') {
    throw invalid('checkpointMode', checkpointMode, 'It must be exactly-once or at-least-once.')
  }
  if (options.fileSystem !== undefined && options.threads !== 0)
    throw invalid('fileSystem', 'given', 'It cannot go to other threads: set threads to 0.')
  if (restartStrategy !== undefined) checkStrategy(restartStrategy)
}

function checkStrategy(strategy: RestartStrategy): void {
  const fields = Object.hasOwn(STRATEGIES, strategy.kind ?? '') ? STRATEGIES[strategy.kind] : undefined
  if (fields === undefined) throw invalid('restartStrategy', strategy, `Its kind must be one of: ${Object.keys(STRATEGIES).join(', ')}.`)
  for (const [field, limits] of Object.entries(fields)) {
    const name = field.replace(/[[\]]/g, '')
    const value = (strategy as unknown as Record<string, unknown>)[name]
    if (value === undefined && name !== field) continue
    const whole = limits === ANY_COUNT
    if (isWithin(value, limits) && (!whole || Number.isInteger(value))) continue
    throw invalid(`restartStrategy.${name}`, value, `It must be a ${whole ? 'whole ' : ''}number from ${limits[0]} to ${limits[1]}.`)
  }
  if (strategy.kind === 'exponential-delay' && strategy.initialDelayMs > strategy.maxDelayMs)
    throw invalid('restartStrategy.initialDelayMs', strategy.initialDelayMs, `It must not be more than maxDelayMs, ${strategy.maxDelayMs}.`)
}

function isWithin(value: unknown, [least, most]: Limits): boolean {
  return typeof value === 'number' && value >= least && value <= most
}

function invalid(name: string, value: unknown, todo: string): MillraceError {
  const shown = typeof value === 'object' ? JSON.stringify(value) : String(value)
  return new MillraceError('OPTION_INVALID', { what: `option ${name} is ${shown === '' ? 'empty' : shown}`, todo })
}
