import { MillraceError, type Source, type SourceSplit } from '../../core/index.js'
import { FixedSplitEnumerator, type FixedSplitState } from '../base/fixed-split-enumerator.js'
import { PushReader } from '../base/push-reader.js'
import { SocketOrigin } from './socket-origin.js'

/** Options of the socket source. */
export interface SocketTextSourceOptions {
  readonly host: string
  readonly port: number
  /** What stands between two records. Default `\n`; a `\r` before it is then dropped. */
  readonly delimiter?: string
  /**
   * How often to connect again after the connection could not be made, broke or was closed; data that arrives starts the count
   * anew. Default 0; -1 for ever.
   */
  readonly maxRetries?: number
  /** Default 500. */
  readonly retryDelayMs?: number
}

/**
 * Text that a server sends, cut at a delimiter (Flink's socketTextStream), read by one subtask. When the server closes the connection and
 * no retries are left, the source ends; a last record needs no delimiter. A connection that is refused or breaks is SOURCE_FAILED once no
 * retries are left. **Not replayable**: what had arrived and was not yet part of a checkpoint is lost at a failure (at most once).
 */
export function socketTextSource(options: SocketTextSourceOptions): Source<string, SourceSplit, FixedSplitState<SourceSplit>> {
  const { host, port, delimiter = '\n', maxRetries = 0, retryDelayMs = 500 } = options
  checkOption(Number.isInteger(port) && port > 0 && port < 65536, `port is ${port}`, 'Give a port from 1 to 65535.')
  checkOption(host !== '', 'host is empty', 'Name the host to connect to.')
  checkOption(delimiter !== '', 'delimiter is empty', 'Give at least one character.')
  checkOption(Number.isInteger(maxRetries) && maxRetries >= -1, `maxRetries is ${maxRetries}`, 'Give 0 or more, or -1 for ever.')
  checkOption(retryDelayMs >= 0, `retryDelayMs is ${retryDelayMs}`, 'Give 0 or more milliseconds.')
  return {
    name: 'socket-text-source',
    boundedness: 'unbounded',
    createEnumerator: (context, restored) => new FixedSplitEnumerator(context, restored, () => [{ splitId: 'socket' }]),
    createReader: (context) => new PushReader(context, new SocketOrigin({ host, port, delimiter, maxRetries, retryDelayMs })),
  }
}

function checkOption(valid: boolean, what: string, todo: string): void {
  if (!valid) throw new MillraceError('OPTION_INVALID', { what, where: 'socketTextSource()', todo })
}
