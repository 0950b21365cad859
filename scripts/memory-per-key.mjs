// How much heap a counter for each of N keys takes, besides the keys' own characters: node --expose-gc scripts/memory-per-key.mjs [N]
import { defineJob, generatorSource, run, valueState, WatermarkStrategy } from 'millrace'

const KEYS = Number(process.argv[2] ?? 1_000_000)
const LIMIT_BYTES = 200
const LEAST_BYTES = 30
if (globalThis.gc === undefined) throw new Error('run it with node --expose-gc')

const settle = async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return process.memoryUsage().heapUsed
}

const job = defineJob('counters', (env) => {
  env
    .fromSource(
      generatorSource({ count: KEYS + 1, generate: (i) => (i === KEYS ? 'last' : `key-${String(i).padStart(8, '0')}`) }),
      WatermarkStrategy.noWatermarks(),
      'keys',
    )
    .keyBy((key) => key)
    .process({
      state: { count: valueState() },
      processElement(key, ctx, out) {
        ctx.state.count.update((ctx.state.count.value() ?? 0) + 1)
        if (key === 'last') {
          globalThis.gc()
          out.collect(process.memoryUsage().heapUsed)
        }
      },
    })
    .collect('inUse')
})

const before = await settle()
const handle = await run(job)
const { collected } = await handle.result()
const [inUse] = collected.inUse
const characters = KEYS * 12
const perKey = (inUse - before - characters) / KEYS
console.log(
  JSON.stringify({ keys: KEYS, heapBytesPerKeyBesidesItsCharacters: Math.round(perKey * 10) / 10, limit: LIMIT_BYTES, node: process.version }),
)
// An entry of a Map alone takes more than the least.
process.exit(perKey >= LEAST_BYTES && perKey <= LIMIT_BYTES ? 0 : 1)
