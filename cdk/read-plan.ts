import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { DeploymentPlan } from '../functions/deployment-plan.js'
import { MillraceError } from '../runtime/core/index.js'

export interface PlanRequest {
  /** That of the bundle, with `plan.mjs` in it. */
  readonly folder: string
  /** For messages. */
  readonly entry: string
  readonly parameters: readonly string[]
  readonly parallelism: number | undefined
  /** Variables that the module may look at while it is loaded. */
  readonly environment: Readonly<Record<string, string>>
}

const PROGRAM = `
  const [bundle, answer, options] = process.argv.slice(1)
  try {
    const { plan } = await import(bundle)
    // Of functions that are opened to learn their states, and need what is not there.
    process.on('unhandledRejection', () => {})
    const text = JSON.stringify(await plan(JSON.parse(options)))
    const { writeFileSync } = await import('node:fs')
    writeFileSync(answer, text)
    // Whatever the module has left open shall not hold the synth up.
    process.exit(0)
  } catch (error) {
    console.error(error?.name === 'MillraceError' ? error.message : error)
    process.exit(1)
  }`

const LONGEST_MS = 60_000

/** Loads the bundled job in a process of its own, opens its keyed operators over empty state, and returns what there is to deploy. Throws PLAN_INVALID with what that process had to say. */
export function readPlan({ folder, entry, parameters, parallelism, environment }: PlanRequest): DeploymentPlan {
  const work = mkdtempSync(join(tmpdir(), 'millrace-plan-'))
  try {
    const answer = join(work, 'plan.json')
    const bundle = pathToFileURL(join(folder, 'plan.mjs')).href
    const { status, signal, stderr, error } = spawnSync(
      process.execPath,
      ['--enable-source-maps', '--input-type=module', '--eval', PROGRAM, bundle, answer, JSON.stringify({ parameters, parallelism })],
      // What a job prints while it is loaded goes nowhere.
      { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', env: { ...process.env, ...environment }, timeout: LONGEST_MS },
    )
    if (status === 0) return JSON.parse(readFileSync(answer, 'utf8')) as DeploymentPlan
    const why = signal === null ? stderr.trim() : `it was not loaded within ${LONGEST_MS / 1_000} s`
    throw new MillraceError('PLAN_INVALID', {
      what: `the job cannot be deployed\n${why}`,
      where: entry,
      todo: 'The job is loaded and described once when the stack is synthesised: that must work, and soon.',
      cause: error,
    })
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
