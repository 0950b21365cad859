/** What this folder uses of the client, by name: a bundle then leaves out the rest. Loaded when it is first needed. */
export { GetRecordsCommand, GetShardIteratorCommand, KinesisClient, ListShardsCommand, PutRecordsCommand } from '@aws-sdk/client-kinesis'
