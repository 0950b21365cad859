/** What this folder uses of the client, by name: a bundle then leaves out the rest. Loaded when it is first needed. */
export { BatchWriteItemCommand, DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
