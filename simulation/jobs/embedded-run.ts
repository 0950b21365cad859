import { MAX_WATERMARK } from '../../runtime/index.js'
import { JobDriver } from '../../runtime/testing/job-driver.js'
import type { GeneratedJob } from './generated-job.js'
import { NEARLY_LAST_TIME_MS } from './item.js'
import type { JobBindings } from './simulated-job.js'

/** The job's outputs where one subtask of each operator gets all records in order, and then the end of time. */
export async function expectedOutputs(job: GeneratedJob): Promise<ReadonlyMap<string, readonly string[]>> {
  const driver = await JobDriver.start(job.define({ bindings: withoutChance, sourceParallelism: 1, scripted: true }), {
    parallelism: 1,
    maxParallelism: job.maxParallelism,
  })
  const inputs = new Map(job.streams.map(({ name }) => [name, driver.input(name)]))
  // What is buried is as if it had never come.
  const buried = job.poison?.policy === 'bury' ? job.poison.ids : new Set()
  for (const { stream, item } of job.plan.puts) if (!buried.has(item.id)) inputs.get(stream)?.element(item, item.t)
  if (job.settleMs > 0) driver.advanceProcessingTime(job.settleMs)
  for (const input of inputs.values()) input.watermark(job.ends ? MAX_WATERMARK : NEARLY_LAST_TIME_MS * 1.5)
  const outputs = new Map(
    job.sinks.map((sink) => [
      sink,
      driver
        .values(sink)
        .map((value) => job.canonical(sink, value))
        .sort(),
    ]),
  )
  await driver.close()
  return outputs
}

const withoutChance: JobBindings = {
  sinkFor: (name) => ({
    name,
    createWriter: () => {
      throw new Error('a capture stands for each sink')
    },
  }),
  chance: () => 0.5,
}
