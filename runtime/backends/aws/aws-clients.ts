import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { S3Client } from '@aws-sdk/client-s3'
import { callSettings } from './call-settings.js'

export { callSettings }

export interface AwsClients {
  readonly dynamo: DynamoDBClient
  readonly s3: S3Client
  readonly kinesis: KinesisClient
}

export interface AwsClientOptions {
  /** Servers that stand in for AWS. Default: what the SDK finds, in the environment too (`AWS_ENDPOINT_URL_DYNAMODB` and its like). */
  readonly endpoints?: Partial<Record<keyof AwsClients, string>>
  /** How long one try of a call may take, or its answer may be silent. Default 15,000. */
  readonly timeoutMs?: number
}

/**
 * The clients of the ports. All share one pool of connections of HTTP/1.1, also Kinesis's, whose own choice would be HTTP/2: servers that stand
 * in for AWS hardly know that.
 */
export function awsClients({ endpoints = {}, timeoutMs }: AwsClientOptions = {}): AwsClients {
  const settings = callSettings(timeoutMs)
  const at = (service: keyof AwsClients) => (endpoints[service] === undefined ? {} : { endpoint: endpoints[service] })
  const s3 = new S3Client({ ...settings, ...at('s3') })
  const shared = { ...settings, requestHandler: s3.config.requestHandler }
  return { s3, dynamo: new DynamoDBClient({ ...shared, ...at('dynamo') }), kinesis: new KinesisClient({ ...shared, ...at('kinesis') }) }
}
