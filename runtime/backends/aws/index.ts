export * from './dynamo-db-commit-log.js'
export * from './kinesis-channel.js'
export * from './s3-blob-store.js'
