export type { S3Committable } from './bucket-writes.js'
export { type S3SinkOptions, s3Sink } from './s3-sink.js'
