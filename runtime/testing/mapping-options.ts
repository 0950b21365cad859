import { MillraceError } from '../core/index.js'
import type { MappingStart } from './mapped-position.js'

/** Time and chance for an {@link EventSourceMapping} and {@link FunctionInstances}. */
export interface MappingWorld {
  /** Epoch ms. */
  now(): number
  /** Uniform in [0, 1). */
  random(): number
  sleep(ms: number): Promise<void>
}

/** Options of an {@link EventSourceMapping}, as Lambda names them. */
export interface MappingOptions {
  /** Most records in a batch, 1 to 10,000. Default 100. */
  readonly batchSize: number
  /** How long records are gathered when there are fewer than a batch. Default 0: a batch is what is there. */
  readonly batchingWindowMs: number
  /** Most bytes of data in a batch as base64. Default 6 MB. A record that is larger goes alone. */
  readonly maxBatchBytes: number
  /**
   * Where the shards begin that the stream has when the mapping starts: at their oldest record, behind their last one, or at the first
   * record that arrived at that time or later. Shards that are found afterwards begin at their oldest record. Default TRIM_HORIZON.
   */
  readonly start: MappingStart
  /** A batch that failed whole is tried again in halves. Default false. */
  readonly bisectOnError: boolean
  /** The function's `failedFrom` is heeded. Default false, as on AWS: a batch whose function resolves is acknowledged whole, whatever it says. */
  readonly partialResponses: boolean
  /** How long an invocation may take. It is tried again then, while it goes on. Default 60,000; Infinity: for ever. */
  readonly timeoutMs: number
  /** Pause before the first retry. It doubles with each up to 32 times as long; up to half of each is taken off by chance. Default 200. */
  readonly retryDelayMs: number
  /** How often the stream is looked at. Default 1000; Infinity: at {@link EventSourceMapping.wake} only. */
  readonly pollMs: number
  /** More than one batch of a shard at a time would not keep the shard's order. */
  readonly parallelizationFactor: 1
}

export const DEFAULT_MAPPING_OPTIONS: MappingOptions = {
  batchSize: 100,
  batchingWindowMs: 0,
  maxBatchBytes: 6 * 1024 * 1024,
  start: 'TRIM_HORIZON',
  bisectOnError: false,
  partialResponses: false,
  timeoutMs: 60_000,
  retryDelayMs: 200,
  pollMs: 1000,
  parallelizationFactor: 1,
}

/**
 * Probabilities, 0 to 1, of what Lambda may do at any delivery. With `loseAnswer` or `reDeliverOld` at 1 nothing is ever done; below that,
 * everything is in the end.
 */
export interface MappingFaults {
  /** A batch that was acknowledged comes once more, before anything else of its shard. */
  readonly duplicate: number
  /** A retry has other boundaries than the batch that failed: shorter, or longer by records that follow. */
  readonly splitRetry: number
  /** The function acknowledged, but the mapping takes the batch as failed. */
  readonly loseAnswer: number
  /** The mapping's checkpoint is lost: it goes back some of the last records (at most two batches of full size). */
  readonly reDeliverOld: number
  /** The mapping gives up an invocation before its time, at any moment, which goes on as a zombie. */
  readonly timeout: number
}

export const NO_MAPPING_FAULTS: MappingFaults = { duplicate: 0, splitRetry: 0, loseAnswer: 0, reDeliverOld: 0, timeout: 0 }

const AT_LEAST = { batchSize: 1, batchingWindowMs: 0, maxBatchBytes: 1, timeoutMs: 0, retryDelayMs: 0, pollMs: 1 } as const

/** @throws MillraceError OPTION_INVALID */
export function checkMappingOptions(options: MappingOptions): void {
  for (const [name, least] of Object.entries(AT_LEAST)) {
    const value = options[name as keyof typeof AT_LEAST]
    if (!(value >= least)) throw invalid(`${name} is ${value}`, `Give at least ${least}.`)
  }
  if (!Number.isInteger(options.batchSize) || options.batchSize > 10_000) {
    throw invalid(`batchSize is ${options.batchSize}`, 'Give a whole number up to 10,000.')
  }
}

/** @throws MillraceError OPTION_INVALID */
export function checkMappingFaults(faults: MappingFaults): void {
  for (const [name, value] of Object.entries(faults)) {
    if (!(value >= 0 && value <= 1)) throw invalid(`${name} is not a probability: ${value}`, 'Give a number from 0 to 1.')
  }
}

function invalid(what: string, todo: string): MillraceError {
  return new MillraceError('OPTION_INVALID', { what, where: 'EventSourceMapping', todo })
}
