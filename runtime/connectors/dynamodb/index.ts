export { type DynamoDbCommittable, type DynamoDbSinkOptions, dynamoDbSink } from './dynamo-db-sink.js'
