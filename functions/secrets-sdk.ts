/** What functions use of the client of Secrets Manager, by name: a bundle then leaves out the rest. Loaded when it is first needed. */
export { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
