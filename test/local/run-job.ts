import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'vitest'
import { defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { type ErrorCode, MillraceError } from '../../runtime/core/index.js'
import type { JobEvent, JobHandle, JobResult, RunOptions } from '../../runtime/local/index.js'
import { run } from '../../runtime/local/index.js'
import { tempFolder } from '../backends/temp-folder.js'

/** Runs a job in this thread to its end. */
export async function runJob(define: (env: StreamExecutionEnvironment) => void, options: RunOptions = {}): Promise<JobResult> {
  const handle = await run(defineJob('test', define), { threads: 0, ...options })
  return handle.result()
}

/** The elements of the sink `collect('out')`. */
export async function outOf(define: (env: StreamExecutionEnvironment) => void, options: RunOptions = {}): Promise<readonly unknown[]> {
  return (await runJob(define, options)).collected.out ?? []
}

export async function failureOf(promise: Promise<unknown>): Promise<MillraceError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(thrown).toBeInstanceOf(MillraceError)
  return thrown as MillraceError
}

/** The promise rejects with this code, and its message says all of `parts` and what to do. */
export async function expectFailure(promise: Promise<unknown>, code: ErrorCode, ...parts: readonly string[]): Promise<MillraceError> {
  const error = await failureOf(promise)
  expect(error.code, error.message).toBe(code)
  for (const part of parts) expect(error.message).toContain(part)
  expect(error.message).toContain('what to do:')
  return error
}

/**
 * Runs a job at one parallelism after the other, each from the savepoint with which the one before was stopped, the last one to its end.
 * `meanwhile` happens while one runs.
 */
export async function throughSavepoints(
  parallelisms: readonly number[],
  start: (options: { readonly parallelism: number; readonly restoreFrom?: string }) => Promise<Pick<JobHandle, 'status' | 'stop' | 'result'>>,
  meanwhile: (index: number) => Promise<unknown> = () => pause(100),
): Promise<readonly JobResult[]> {
  const savepointDir = await tempFolder()
  const results: JobResult[] = []
  for (const [index, parallelism] of parallelisms.entries()) {
    const restoreFrom = results.at(-1)?.savepoint
    const handle = await start({ parallelism, ...(restoreFrom && { restoreFrom }) })
    await until(() => handle.status !== 'starting')
    await meanwhile(index)
    results.push(index < parallelisms.length - 1 ? await handle.stop({ savepointDir }) : await handle.result())
  }
  return results
}

/** Resolves once `holds` does; for what happens in the run's own time. */
export async function until(holds: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export function sorted<T>(values: readonly T[]): T[] {
  return [...values].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

export function kindsOf(events: readonly JobEvent[]): string[] {
  return events.map((event) => (event.kind === 'status' ? event.status : event.kind))
}
