import { MillraceError } from '../runtime/core/index.js'
import { millraceUrl } from './package-imports.js'

/** What the commands need of the package `millrace`. */
export type Engine = Pick<typeof import('../runtime/index.js'), 'run' | 'explain'>

/** The package `millrace` that a job in `folder` imports, so that the job and its runtime are one version and one copy. */
export async function loadEngine(folder: string): Promise<Engine> {
  const url = millraceUrl('millrace', folder)
  if (url === undefined) {
    throw new MillraceError('JOB_NOT_FOUND', {
      what: "The package 'millrace' is neither installed beside the job nor built",
      where: folder,
      todo: 'Run npm install millrace there (in its own repository: npm run build).',
    })
  }
  return (await import(url)) as Engine
}
