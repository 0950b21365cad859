import { MillraceError } from '../runtime/core/index.js'

/** One environment variable that holds a secret, or one field of a secret that is a JSON object. */
export interface SecretVariable {
  readonly arn: string
  readonly field?: string
}

type Variables = Record<string, string | undefined>

/** What a secret says, by its ARN. */
export type ReadSecret = (arn: string) => Promise<string | undefined>

/**
 * Puts secrets into environment variables: those that MILLRACE_SECRETS names, a JSON object of {@link SecretVariable} by variable. A function
 * calls it before the job's module is loaded, once in its life: a secret that is rotated reaches functions that start after. Throws AWS_CALL.
 */
export async function loadSecrets(variables: Variables, read: ReadSecret = fromSecretsManager): Promise<void> {
  const named = Object.entries(JSON.parse(variables.MILLRACE_SECRETS ?? '{}') as Record<string, SecretVariable>)
  const texts = new Map<string, Promise<string | undefined>>()
  for (const [, { arn }] of named) if (!texts.has(arn)) texts.set(arn, read(arn))
  for (const [name, { arn, field }] of named) variables[name] = secretValue(name, await texts.get(arn), field)
}

function secretValue(name: string, text: string | undefined, field: string | undefined): string {
  if (text === undefined) throw unreadable(name, 'the secret holds bytes, not text')
  if (field === undefined) return text
  const value = fieldOf(text, field)
  if (value === undefined) throw unreadable(name, `the secret is no JSON object with a field "${field}"`)
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function fieldOf(text: string, field: string): unknown {
  try {
    return (JSON.parse(text) as Record<string, unknown> | null)?.[field]
  } catch {
    // The parser's words would show the secret.
    return undefined
  }
}

/** The client is loaded only where there are secrets. */
async function fromSecretsManager(arn: string): Promise<string | undefined> {
  const { secretText } = await import('./secrets-manager.js')
  return secretText(arn)
}

function unreadable(name: string, why: string): MillraceError {
  return new MillraceError('OPTION_INVALID', {
    what: `the secret for the environment variable ${name} cannot be used: ${why}`,
    where: 'secrets of StreamJob',
    todo: 'Store text, or name a field that the secret has.',
  })
}
