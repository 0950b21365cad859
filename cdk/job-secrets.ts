import type { IRole } from 'aws-cdk-lib/aws-iam'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { SecretVariable } from '../functions/load-secrets.js'
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

export function grantSecrets(role: IRole, secrets: Secrets): void {
  const granted = new Set<ISecret>(Object.values(secrets).map((given) => ('secret' in given ? given.secret : given)))
  for (const secret of granted) secret.grantRead(role)
}
