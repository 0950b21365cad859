import { type Collector, defineJob } from 'millrace'
import { hashSink } from '../hash-sink.js'
import { wordLines } from './sources.js'

interface WordCount {
  readonly word: string
  readonly count: number
}

function splitWords(line: string, out: Collector<WordCount>): void {
  let start = 0
  for (let end = line.indexOf(' '); end >= 0; end = line.indexOf(' ', start)) {
    out.collect({ word: line.slice(start, end), count: 1 })
    start = end + 1
  }
  out.collect({ word: line.slice(start), count: 1 })
}

/** Running count of each word: one result for each word read. */
export default defineJob('wordcount', (env) => {
  wordLines(env)
    .flatMap(splitWords)
    .keyBy((w) => w.word)
    .reduce((a, b) => ({ word: a.word, count: a.count + b.count }))
    .sinkTo(hashSink((w) => `${w.word},${w.count}`))
})
