import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Job, type JobResult, type RunOptions, run } from 'millrace'
import { onTestFinished } from 'vitest'

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-examples-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Path of a file under examples/. */
export function exampleFile(name: string): string {
  return fileURLToPath(new URL(`../../examples/${name}`, import.meta.url))
}

/** Path of a compiled file, for a process of its own; `npm test` builds before it tests. */
export function builtFile(name: string): string {
  return fileURLToPath(new URL(`../../dist/${name}`, import.meta.url))
}

/** Text of a file under examples/. */
export function expected(name: string): string {
  return readFileSync(exampleFile(name), 'utf8')
}

/** Runs an example to its end with its results in a file; gives that file's text and the run's result. */
export async function runExample(
  job: Job,
  parameters: readonly string[] = [],
  options: RunOptions = {},
): Promise<{ text: string; output: string; result: JobResult }> {
  const output = join(temporaryFolder(), 'out.txt')
  const handle = await run(job, { threads: 0, ...options, parameters: [...parameters, '--output', output] })
  const result = await handle.result()
  return { text: readFileSync(output, 'utf8'), output, result }
}

/** Lines in an order that does not depend on how a run went. */
export function sorted(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .sort()
}
