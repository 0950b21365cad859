import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isJob, type Job } from '../api/index.js'
import { MillraceError } from '../core/index.js'

/** The job that a compiled module exports as default. Throws JOB_NOT_FOUND, JOB_NO_DEFAULT_EXPORT. */
export async function importJob(module: string | URL): Promise<Job> {
  const url = typeof module === 'string' && isAbsolute(module) ? pathToFileURL(module).href : String(module)
  let exports: { readonly default?: unknown }
  try {
    exports = await import(url)
  } catch (thrown) {
    throw MillraceError.from(thrown, 'JOB_NOT_FOUND', {
      what: 'the job module cannot be imported',
      where: url,
      todo: 'Check the path, and that the module runs: node FILE shows where it fails.',
    })
  }
  if (isJob(exports.default)) return exports.default
  throw new MillraceError('JOB_NO_DEFAULT_EXPORT', {
    what: exports.default === undefined ? 'the job module has no default export' : 'the default export of the job module is not a job',
    where: url,
    todo: "Write: export default defineJob('name', env => { … })",
  })
}
