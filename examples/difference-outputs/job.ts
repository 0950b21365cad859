import { type Collector, defineJob, RichFlatMapFunction, type RuntimeContext, textFormat, type ValueState, ValueStateDescriptor } from 'millrace'
import { type KeyedNumber, parseKeyedNumber } from '../keyed-number.js'
import { linesIn } from '../lines-in.js'
import { resultsOut } from '../results-out.js'

class Difference extends RichFlatMapFunction<KeyedNumber, number> {
  #last!: ValueState<number>

  override open(context: RuntimeContext): void {
    super.open(context)
    this.#last = context.getState(new ValueStateDescriptor('last', { defaultValue: 0 }))
  }

  flatMap({ value }: KeyedNumber, out: Collector<number>): void {
    const last = this.#last.value() ?? 0
    this.#last.update(value)
    out.collect(last)
    out.collect(value)
    out.collect(value - last)
  }
}

/** Three results for each number: the one before it of the same key (at first 0), the number, and their difference. Lines are `key,number`. */
export default defineJob('difference-outputs', (env) => {
  const differences = linesIn(env, import.meta.url, 'input.txt')
    .map(parseKeyedNumber)
    .setParallelism(1)
    .keyBy((e) => e.key)
    .flatMap(new Difference())
    .uid('difference')
  resultsOut(differences.map(String), env, textFormat())
})
