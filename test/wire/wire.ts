import { CreateTableCommand, type DynamoDBClient, UpdateTimeToLiveCommand } from '@aws-sdk/client-dynamodb'
import { CreateStreamCommand, DescribeStreamSummaryCommand, type KinesisClient } from '@aws-sdk/client-kinesis'
import { CreateBucketCommand, type S3Client } from '@aws-sdk/client-s3'
import { inject } from 'vitest'
import type {} from './global-setup.js'

process.env.AWS_REGION = 'eu-central-1'
process.env.AWS_ACCESS_KEY_ID = 'local'
process.env.AWS_SECRET_ACCESS_KEY = 'local'

/** URLs of the servers. */
export const servers = inject('servers')

/** A name that no other suite and no other test has. */
export function uniqueName(what: string): string {
  return `${what}-${process.pid}-${++names}`
}
let names = 0

/** As StreamJob makes it. */
export async function createTable(dynamo: DynamoDBClient): Promise<string> {
  const TableName = uniqueName('table')
  const key = (AttributeName: string, KeyType: 'HASH' | 'RANGE') => ({ AttributeName, KeyType })
  await dynamo.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [key('pk', 'HASH'), key('sk', 'RANGE')],
      AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' as const })),
    }),
  )
  await dynamo.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true } }))
  return TableName
}

export async function createBucket(s3: S3Client): Promise<string> {
  const Bucket = uniqueName('bucket')
  await s3.send(new CreateBucketCommand({ Bucket }))
  return Bucket
}

export async function createStream(kinesis: KinesisClient, shards: number): Promise<string> {
  const StreamName = uniqueName('stream')
  await kinesis.send(new CreateStreamCommand({ StreamName, ShardCount: shards }))
  await streamActive(kinesis, StreamName)
  return StreamName
}

/** Resolves when what was asked of the stream (creation, a split, a merge) is done. */
export async function streamActive(kinesis: KinesisClient, StreamName: string): Promise<void> {
  for (;;) {
    const { StreamDescriptionSummary } = await kinesis.send(new DescribeStreamSummaryCommand({ StreamName }))
    if (StreamDescriptionSummary?.StreamStatus === 'ACTIVE') return
  }
}
