import { defineJob, RichMapFunction, type RuntimeContext, textFormat, type ValueState, ValueStateDescriptor } from 'millrace'
import { type KeyedNumber, parseKeyedNumber } from '../keyed-number.js'
import { linesIn } from '../lines-in.js'
import { resultsOut } from '../results-out.js'

class Difference extends RichMapFunction<KeyedNumber, number> {
  #last!: ValueState<number>

  override open(context: RuntimeContext): void {
    super.open(context)
    this.#last = context.getState(new ValueStateDescriptor('last'))
  }

  map({ value }: KeyedNumber): number {
    const last = this.#last.value()
    this.#last.update(value)
    return last === null ? value : value - last
  }
}

/** For each key the first number as it is, then the difference to the one before. Lines are `key,number`. */
export default defineJob('difference', (env) => {
  const differences = linesIn(env, import.meta.url, 'input.txt')
    .map(parseKeyedNumber)
    .setParallelism(1)
    .keyBy((e) => e.key)
    .map(new Difference())
    .uid('difference')
  resultsOut(differences.map(String), env, textFormat())
})
