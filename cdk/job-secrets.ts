import { Stack } from 'aws-cdk-lib'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { SecretVariable } from '../functions/load-secrets.js'
import { allow } from './job-permissions.js'
import type { RevisionAccess } from './revision-access.js'
import type { JobSecret } from './stream-job-props.js'

type Secrets = Readonly<Record<string, JobSecret>>

/** What functions are told of secrets, as functions/load-secrets.ts reads it. */
export function secretVariables(secrets: Secrets): Readonly<Record<string, SecretVariable>> {
  return Object.fromEntries(
    Object.entries(secrets).map(([name, given]) => [
      name,
      'secret' in given ? { arn: given.secret.secretArn, field: given.field } : { arn: given.secretArn },
    ]),
  )
}

export function grantSecrets(access: RevisionAccess, secrets: Secrets): void {
  const granted = new Set<ISecret>(Object.values(secrets).map((given) => ('secret' in given ? given.secret : given)))
  const viaService = { StringEquals: { 'kms:ViaService': `secretsmanager.${Stack.of(access).region}.amazonaws.com` } }
  for (const secret of granted) {
    secret.grantRead(access)
    // CDK says so in the key's policy only, which is changed in place when the next revision has no such secret.
    if (secret.encryptionKey !== undefined) allow(access, ['kms:Decrypt'], [secret.encryptionKey.keyArn], viaService)
  }
}
