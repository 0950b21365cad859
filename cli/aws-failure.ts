import { MillraceError } from '../runtime/core/index.js'

/** Runs a call of AWS on behalf of a person. Throws AWS_CALL, saying which `permission` or setting is missing. */
export async function awsFailure<T>(call: string, where: string, permission: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown
    const { name, message } = thrown instanceof Error ? thrown : { name: 'Error', message: '' }
    throw new MillraceError('AWS_CALL', { what: `${call} failed with ${name}`, where, todo: todoOf(name, message, permission), cause: thrown })
  }
}

function todoOf(name: string, message: string, permission: string): string {
  if (/^AccessDenied|UnauthorizedOperation/.test(name)) return `Allow your credentials ${permission}.`
  if (/Credentials|ExpiredToken|UnrecognizedClient|InvalidSignature|InvalidClientToken|Token/.test(name)) {
    return 'Give valid credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or aws sso login.'
  }
  // The SDK has no name for it.
  if (/Region/.test(name) || /^Region is missing/.test(message)) return 'Give the region: AWS_REGION.'
  return 'Look at the cause; try again when it is a passing one.'
}
