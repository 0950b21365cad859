import { MillraceError } from '../runtime/core/index.js'

/** Loads a module that imports optional packages. Throws PACKAGE_MISSING with the command that installs the one that is not there. */
export async function withPackages<T>(what: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (thrown) {
    const { code, message = '' } = thrown as Partial<NodeJS.ErrnoException>
    const missing = code === 'ERR_MODULE_NOT_FOUND' ? /Cannot find package '([^']+)'/.exec(message)?.[1] : undefined
    if (missing === undefined) throw thrown
    throw new MillraceError('PACKAGE_MISSING', {
      what: `${what} needs the package ${missing}, which is not installed`,
      todo: `Run: npm install --save-dev ${missing}`,
    })
  }
}
