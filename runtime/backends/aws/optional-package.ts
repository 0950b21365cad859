import { MillraceError } from '../../core/index.js'

/**
 * Loads a module that imports optional packages, as the clients of the AWS SDK are. Throws PACKAGE_MISSING with the command that installs the one
 * that is not there: `install` and the package's name.
 */
export async function withPackages<T>(what: string, load: () => Promise<T>, install = 'npm install --save-dev'): Promise<T> {
  try {
    return await load()
  } catch (thrown) {
    const missing = missingPackage(thrown)
    if (missing === undefined) throw thrown
    throw new MillraceError('PACKAGE_MISSING', {
      what: `${what} needs the package ${missing}, which is not installed`,
      todo: `Run: ${install} ${missing}`,
    })
  }
}

/** Node names a package by its name alone, a file by its path. */
function missingPackage(thrown: unknown): string | undefined {
  const { code, message } = (thrown ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return undefined
  return /Cannot find (?:package|module) '((?:@[\w.-]+\/)?[\w-][\w.-]*)(?=['/])/.exec(String(message))?.[1]
}
