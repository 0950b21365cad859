import { defineJob, ListStateDescriptor, MapStateDescriptor, run, ValueStateDescriptor } from 'millrace'

/** Keeps what it reads by key, in each kind of state. */
function visits(words: readonly (readonly [key: string | number, page: string])[]) {
  return defineJob('visits', (env) => {
    env
      .fromCollection(words)
      .keyBy(([key]) => key)
      .process({
        state: {
          count: new ValueStateDescriptor<bigint>('count', { ttl: { ttlMs: 3_600_000 } }),
          pages: new ListStateDescriptor<string>('pages'),
          seen: new MapStateDescriptor<string, { times: number }>('seen'),
          coded: new ValueStateDescriptor<string>('coded', {
            serde: {
              id: 'upper',
              version: 2,
              encode: (text) => new TextEncoder().encode(text.toUpperCase()),
              decode: (b) => new TextDecoder().decode(b),
            },
          }),
        },
        processElement([, page], { state }) {
          state.count.update((state.count.value() ?? 0n) + 1n)
          state.pages.add(page)
          state.seen.put(page, { times: (state.seen.get(page)?.times ?? 0) + 1 })
          state.coded.update(page)
        },
      })
      .uid('visits')
      .filter(() => false)
      .collect('out')
  })
}

/** A folder with one checkpoint, of a job that has read these to the end. */
export async function savedVisits(checkpointDir: string, words: Parameters<typeof visits>[0], parallelism = 1): Promise<string> {
  await (await run(visits(words), { checkpointDir, parallelism, threads: 0 })).result()
  return checkpointDir
}
