import { MillraceError } from '../core/index.js'
import { type CompiledJob, compile, type ExplainFormat, explainGraph } from '../plan/index.js'
import { type EnvironmentDefaults, StreamExecutionEnvironment } from './stream-execution-environment.js'

const JOB = Symbol.for('millrace.job')

/** A job: its name and the function that describes its graph. Made by {@link defineJob}. */
export interface Job {
  readonly [JOB]: true
  readonly name: string
  /** Called once for each subtask and once for the plan, so objects made inside belong to one subtask. */
  readonly define: (env: StreamExecutionEnvironment) => void
  /** URL of the module that called defineJob, for worker threads; undefined where it cannot be told. */
  readonly moduleUrl: string | undefined
}

/**
 * Describes a job; a job module exports it as default.
 *
 * @example
 * export default defineJob('word-lengths', env => {
 *   env.fromElements('to', 'be').map(word => word.length).print()
 * })
 */
export function defineJob(name: string, define: (env: StreamExecutionEnvironment) => void): Job {
  if (typeof name !== 'string' || name === '') {
    throw new MillraceError('OPTION_INVALID', { what: 'defineJob needs a name', todo: "Call it as defineJob('my-job', env => { … })." })
  }
  return Object.freeze({ [JOB]: true as const, name, define, moduleUrl: callerUrl() })
}

/** Whether a module's export is a job, whichever copy of Millrace made it. */
export function isJob(value: unknown): value is Job {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[JOB] === true
}

/** Describes the job's graph and compiles it. Throws what is wrong with the job. */
export function compileJob(job: Job, defaults: EnvironmentDefaults = {}): CompiledJob {
  const env = new StreamExecutionEnvironment(job.name, defaults)
  const result: unknown = job.define(env)
  if (result instanceof Promise) {
    result.catch(() => {})
    throw new MillraceError('PLAN_INVALID', {
      what: `the function of job "${job.name}" is asynchronous`,
      todo: 'Describe the graph synchronously; await what it needs at the top level of the module.',
    })
  }
  return { ...compile(env.streamGraph()), bindings: defaults.bindings }
}

/** How `explain` shows a plan, and what the job's environment starts with. */
export interface ExplainOptions extends EnvironmentDefaults {
  readonly format?: ExplainFormat
}

/** The job's plan as text, Mermaid or JSON. */
export function explain(job: Job, options: ExplainOptions = {}): string {
  return explainGraph(compileJob(job, options).graph, options.format ?? 'text')
}

/** The module two frames up the stack, by V8's structured stack. */
function callerUrl(): string | undefined {
  const prepare = Error.prepareStackTrace
  try {
    Error.prepareStackTrace = (_error, sites) => sites
    const sites = new Error().stack as unknown as NodeJS.CallSite[]
    const url = sites[2]?.getFileName() ?? undefined
    if (url === undefined || url === null) return undefined
    return url
  } catch {
    return undefined
  } finally {
    Error.prepareStackTrace = prepare
  }
}
