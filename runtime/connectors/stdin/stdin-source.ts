import { isMainThread } from 'node:worker_threads'
import { MillraceError, type Source, type SourceSplit } from '../../core/index.js'
import { FixedSplitEnumerator, type FixedSplitState } from '../base/fixed-split-enumerator.js'
import { type PushOrigin, PushReader, type PushSink } from '../base/push-reader.js'
import { TextSplitter } from '../base/text-splitter.js'

/**
 * The lines of standard input, until it ends. One subtask reads it, which must run in the main thread (option `threads: 0`).
 * **Not replayable**: what was read before a failure and not yet part of a checkpoint is lost (at most once at a failure).
 */
export function stdinSource(): Source<string, SourceSplit, FixedSplitState<SourceSplit>> {
  return {
    name: 'stdin-source',
    boundedness: 'unbounded',
    createEnumerator: (context, restored) => new FixedSplitEnumerator(context, restored, () => [{ splitId: 'stdin' }]),
    createReader: (context) => new PushReader(context, new StdinOrigin()),
  }
}

class StdinOrigin implements PushOrigin<string> {
  readonly #splitter = new TextSplitter('\n')
  #detach: () => void = () => {}

  open(sink: PushSink<string>): void {
    if (!isMainThread) {
      const todo = 'Run the job with threads: 0.'
      sink.fail(new MillraceError('OPTION_INVALID', { what: 'standard input belongs to the main thread', where: 'stdinSource()', todo }))
      return
    }
    const { stdin } = process
    const onData = (chunk: Buffer | string) => sink.push(this.#splitter.push(Buffer.from(chunk)), chunk.length)
    const onEnd = () => {
      const last = this.#splitter.end()
      if (last !== undefined) sink.push([last], last.length)
      sink.end()
    }
    const onError = (cause: Error) =>
      sink.fail(new MillraceError('SOURCE_FAILED', { what: 'standard input cannot be read', todo: 'Check what is piped into the process.', cause }))
    stdin.on('data', onData).once('end', onEnd).once('error', onError)
    this.#detach = () => stdin.off('data', onData).off('end', onEnd).off('error', onError).pause()
  }

  pause(): void {
    process.stdin.pause()
  }

  resume(): void {
    process.stdin.resume()
  }

  close(): void {
    this.#detach()
  }
}
