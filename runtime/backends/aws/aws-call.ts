import { MillraceError } from '../../core/index.js'

/** Runs a call of an AWS service. Throws AWS_CALL with what the service said; the SDK has tried several times by then. */
export async function awsCall<T>(what: string, where: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (thrown) {
    const name = thrown instanceof Error ? thrown.name : 'Error'
    throw new MillraceError('AWS_CALL', {
      what: `${what} failed with ${name}`,
      where,
      todo: name.startsWith('AccessDenied')
        ? "Grant it to the function's role: StreamJob does."
        : 'A batch, a message and a step of the control function come again by themselves; a command is to be run again.',
      cause: thrown,
    })
  }
}

/** Whether `thrown` is the SDK's error of this name; by name, because two copies of the SDK have two classes. */
export function isAwsError(thrown: unknown, ...names: readonly string[]): boolean {
  return thrown instanceof Error && names.includes(thrown.name)
}
