import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { awsCall } from '../runtime/backends/aws/aws-call.js'

/** The text of a secret, by its ARN. Throws AWS_CALL. */
export async function secretText(arn: string): Promise<string | undefined> {
  const client = new SecretsManagerClient({})
  return (await awsCall('GetSecretValue', arn, () => client.send(new GetSecretValueCommand({ SecretId: arn })))).SecretString
}
