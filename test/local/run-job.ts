import { expect } from 'vitest'
import { defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { type ErrorCode, MillraceError } from '../../runtime/core/index.js'
import type { JobEvent, JobResult, RunOptions } from '../../runtime/local/index.js'
import { run } from '../../runtime/local/index.js'

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
