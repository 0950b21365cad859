import { realpathSync, statSync } from 'node:fs'
import { dirname, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describeCause, MillraceError } from '../runtime/core/index.js'
import { compileJob } from './compile-job.js'
import { type Engine, loadEngine } from './engine.js'
import { isMillraceError } from './error-report.js'

export interface LoadedJob {
  /** The default export, made by defineJob. */
  readonly job: Parameters<Engine['run']>[0]
  /** URL of the module to import, compiled where needed; worker threads import the same one. */
  readonly url: string
  /** The copy of Millrace that the job itself imports. */
  readonly engine: Engine
}

/** Finds, compiles and imports a job. `path` is relative to the working directory. Throws JOB_NOT_FOUND, JOB_COMPILE, JOB_NO_DEFAULT_EXPORT. */
export async function loadJob(path: string): Promise<LoadedJob> {
  const file = findJob(path)
  const compiled = /^\.([mc]?ts|tsx|jsx)$/.test(extname(file)) ? await compileJob(file) : file
  const url = pathToFileURL(compiled).href
  const engine = await loadEngine(dirname(file))
  const job = defaultExport(await importJob(url, path), path)
  return { job, url, engine }
}

function findJob(path: string): string {
  const file = resolve(path)
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat === undefined) {
    throw new MillraceError('JOB_NOT_FOUND', {
      what: `There is no file ${path}`,
      where: file,
      todo: 'Give the path of the job module, relative to the working directory.',
    })
  }
  if (!stat.isFile()) {
    throw new MillraceError('JOB_NOT_FOUND', {
      what: `${path} is a folder, not a job module`,
      where: file,
      todo: 'Give the .ts or .js file inside it.',
    })
  }
  if (!/^\.([mc]?[tj]s|[tj]sx)$/.test(extname(file))) {
    throw new MillraceError('JOB_NOT_FOUND', {
      what: `${path} is not a module that can be run`,
      where: file,
      todo: 'A job is a .ts, .mts, .cts, .tsx, .js, .mjs or .cjs file.',
    })
  }
  return realpathSync(file)
}

async function importJob(url: string, path: string): Promise<{ readonly default?: unknown }> {
  try {
    return (await import(url)) as { readonly default?: unknown }
  } catch (thrown) {
    if (isMillraceError(thrown)) throw thrown
    const code = (thrown as NodeJS.ErrnoException | null)?.code
    const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
    throw new MillraceError('JOB_NOT_FOUND', {
      what: missing ? 'An import of the job leads nowhere' : 'The job module threw while it was imported',
      where: place(thrown) ?? path,
      todo: missing ? 'Install the package beside the job, or correct the path.' : `Mend the module; its own code ran into: ${describeCause(thrown)}`,
      cause: thrown,
    })
  }
}

/** The first line of the stack that lies in the job (source maps are on), not in Node. */
function place(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined
  const line = thrown.stack?.split('\n').find((text) => /^\s+at .*:\d+:\d+\)?$/.test(text) && !text.includes('node:internal'))
  return line?.trim().replace(/^at (?:.*\((.*)\)|(.*))$/, '$1$2')
}

function defaultExport(module: { readonly default?: unknown }, path: string): LoadedJob['job'] {
  const exported = module.default
  // A CommonJS module compiled from `export default` has its default inside.
  const job = hasDefault(exported) ? exported.default : exported
  if (isJob(job)) return job
  throw new MillraceError('JOB_NO_DEFAULT_EXPORT', {
    what: exported === undefined ? 'The module has no default export' : 'The default export is not a job',
    where: path,
    todo: "Write: export default defineJob('name', (env) => { … })",
  })
}

function hasDefault(value: unknown): value is { readonly default: unknown } {
  return typeof value === 'object' && value !== null && '__esModule' in value && 'default' in value
}

/** The mark that defineJob leaves, whichever copy of Millrace made the job. */
const JOB = Symbol.for('millrace.job')

function isJob(value: unknown): value is LoadedJob['job'] {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[JOB] === true
}
