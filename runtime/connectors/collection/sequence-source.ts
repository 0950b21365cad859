import { MillraceError, type Source } from '../../core/index.js'
import type { FixedSplitState } from '../base/fixed-split-enumerator.js'
import type { GeneratorSplit } from '../generator/generator-reader.js'
import { generatorSource } from '../generator/generator-source.js'

/** The whole numbers from `from` to `to`, both included (Flink's NumberSequenceSource). Bounded and replayable, in all subtasks. Throws OPTION_INVALID. */
export function sequenceSource(from: number, to: number): Source<number, GeneratorSplit, FixedSplitState<GeneratorSplit>> {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || to < from) {
    throw new MillraceError('OPTION_INVALID', { what: `a sequence from ${from} to ${to}`, todo: 'Give two whole numbers, the lower one first.' })
  }
  return generatorSource({ count: to - from + 1, generate: (i) => from + i, name: 'sequence-source' })
}
