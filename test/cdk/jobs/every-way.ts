import { defineJob, kinesisSource, utf8Line, WatermarkStrategy } from 'millrace'

/** Hardly to be compressed, so that what holds it stands in the bucket. */
const NOISE = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(33 + (((Math.imul(i, i) ^ (i * 7919)) >>> 3) % 90))).join('')

/** Its commits are large, and it chokes on the word "poison". */
export default defineJob('every-way', (env) => {
  env
    .fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks())
    .uid('words')
    .map((word) => {
      if (word === 'poison') throw new Error('it cannot be swallowed')
      return { word, n: 1, noise: NOISE }
    })
    .keyBy(({ word }) => word)
    .reduce((a, b) => ({ ...b, n: a.n + b.n }))
    .uid('count')
    .filter(() => false)
    .print()
})
