import { defineJob, type ListState, ListStateDescriptor, RichFilterFunction, type RuntimeContext, textFormat } from 'millrace'
import { type KeyedNumber, parseKeyedNumber } from '../keyed-number.js'
import { linesIn } from '../lines-in.js'
import { resultsOut } from '../results-out.js'

const LIMIT = 5

class Deviation extends RichFilterFunction<KeyedNumber> {
  #values!: ListState<number>

  override open(context: RuntimeContext): void {
    super.open(context)
    this.#values = context.getListState(new ListStateDescriptor('values'))
  }

  filter({ value }: KeyedNumber): boolean {
    this.#values.add(value)
    let sum = 0
    let count = 0
    for (const earlier of this.#values.get()) {
      sum += earlier
      count++
    }
    return count === 1 || Math.abs(value - sum / count) > LIMIT
  }
}

/**
 * For each key the first number, then those that differ by more than 5 from the mean of all numbers so far, themselves included.
 * Lines are `key,number`.
 */
export default defineJob('deviation', (env) => {
  const outliers = linesIn(env, import.meta.url, 'input.txt')
    .map(parseKeyedNumber)
    .setParallelism(1)
    .keyBy((e) => e.key)
    .filter(new Deviation())
    .uid('deviation')
  resultsOut(
    outliers.map((e) => String(e.value)),
    env,
    textFormat(),
  )
})
