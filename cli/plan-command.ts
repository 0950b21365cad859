import { loadJob } from './load-job.js'

export interface PlanFlags {
  readonly format: 'text' | 'mermaid' | 'json'
  readonly parallelism?: number
  readonly maxParallelism?: number
}

/** Prints what would run, without running it: the job's graph after chaining. */
export async function planCommand(path: string, parameters: readonly string[], flags: PlanFlags): Promise<void> {
  const { engine, job } = await loadJob(path)
  const { format, parallelism, maxParallelism } = flags
  const text = engine.explain(job, { format, parameters, parallelism, maxParallelism })
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}
