import { PutRecordCommand } from '@aws-sdk/client-kinesis'
import { awsClients } from './aws-clients.js'

/** Puts one record into a Kinesis stream. Throws what the service said. */
export async function putRecord(
  stream: string,
  partitionKey: string,
  data: Uint8Array,
): Promise<{ readonly shard: string; readonly position: string }> {
  const { kinesis } = awsClients()
  const { ShardId = '', SequenceNumber = '' } = await kinesis.send(
    new PutRecordCommand({ StreamName: stream, PartitionKey: partitionKey, Data: data }),
  )
  return { shard: ShardId, position: SequenceNumber }
}
