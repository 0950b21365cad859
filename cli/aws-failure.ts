import { MillraceError } from '../runtime/core/index.js'

/** Runs a call of AWS on behalf of a person. Throws AWS_CALL, saying which `permission` or setting is missing. */
export async function awsFailure<T>(call: string, where: string, permission: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown
    const name = thrown instanceof Error ? thrown.name : 'Error'
    throw new MillraceError('AWS_CALL', { what: `${call} failed with ${name}`, where, todo: todoOf(name, permission), cause: thrown })
  }
}

function todoOf(name: string, permission: string): string {
  if (/^AccessDenied|UnauthorizedOperation/.test(name)) return `Allow your credentials ${permission}.`
  if (/Credentials|ExpiredToken|UnrecognizedClient|InvalidSignature|InvalidClientToken|Token/.test(name)) {
    return 'Give valid credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or aws sso login.'
  }
  if (/Region/.test(name)) return 'Give the region: AWS_REGION.'
  return 'Look at the cause; try again when it is a passing one.'
}
