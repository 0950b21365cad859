import { type Collector, defineJob, type KeyedContext, textFormat, valueState } from 'millrace'
import { type KeyedNumber, parseKeyedNumber } from '../keyed-number.js'
import { linesIn } from '../lines-in.js'
import { resultsOut } from '../results-out.js'

const STATE = { history: valueState({ defaultValue: '' }) }

/** All numbers of a key so far, each time another one comes: `hello-1`, then `hello-1-2`. Lines are `key,number`. */
export default defineJob('history', (env) => {
  const histories = linesIn(env, import.meta.url, 'input.txt')
    .map(parseKeyedNumber)
    .setParallelism(1)
    .keyBy((e) => e.key)
    .process({
      state: STATE,
      processElement(entry: KeyedNumber, ctx: KeyedContext<string, typeof STATE>, out: Collector<string>) {
        const history = `${ctx.state.history.value()}-${entry.value}`
        ctx.state.history.update(history)
        out.collect(entry.key + history)
      },
    })
    .uid('history')
  resultsOut(histories, env, textFormat())
})
