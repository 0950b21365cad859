import { type EnumeratorContext, MillraceError, type ReaderContext, type Source } from '../../core/index.js'
import { FixedSplitEnumerator, type FixedSplitState } from '../base/fixed-split-enumerator.js'
import { GeneratorReader, type GeneratorSplit } from './generator-reader.js'

/** Options of the generator source. */
export interface GeneratorSourceOptions<T> {
  /** How many elements in all; `Infinity` makes the source unbounded. */
  readonly count: number
  /** Element number `i`, from 0. Must give the same for the same `i`, or a restored job repeats differently. */
  readonly generate: (i: number) => T
  /** Elements a second over all subtasks; as fast as possible when absent. */
  readonly ratePerSecond?: number
  /** Default `generator-source`. */
  readonly name?: string
}

/**
 * Elements computed from their number (Flink's DataGeneratorSource). Replayable. Of p subtasks at the first start, subtask s gives
 * s, s + p, s + 2p, …; after a restore at another parallelism these sequences go on unchanged, several in one subtask if need be.
 */
export function generatorSource<T>(options: GeneratorSourceOptions<T>): Source<T, GeneratorSplit, FixedSplitState<GeneratorSplit>> {
  const { count, generate, ratePerSecond, name = 'generator-source' } = options
  if (!(count >= 0) || (Number.isFinite(count) && !Number.isSafeInteger(count))) {
    throw new MillraceError('OPTION_INVALID', { what: `count is ${count}`, where: name, todo: 'Give a whole number of 0 or more, or Infinity.' })
  }
  if (ratePerSecond !== undefined && !(ratePerSecond > 0 && Number.isFinite(ratePerSecond))) {
    throw new MillraceError('OPTION_INVALID', {
      what: `ratePerSecond is ${ratePerSecond}`,
      where: name,
      todo: 'Give a number above 0, or leave it out.',
    })
  }
  return {
    name,
    boundedness: count === Number.POSITIVE_INFINITY ? 'unbounded' : 'bounded',
    createEnumerator: (context: EnumeratorContext<GeneratorSplit>, restored) =>
      new FixedSplitEnumerator(context, restored, () => stridedSplits(count, context.parallelism)),
    createReader: (context: ReaderContext) => new GeneratorReader(generate, ratePerSecond, context),
  }
}

function stridedSplits(count: number, parallelism: number): GeneratorSplit[] {
  const end = Number.isFinite(count) ? count : null
  return Array.from({ length: parallelism }, (_, s) => ({ splitId: `generator-${s}`, next: s, stride: parallelism, end }))
}
