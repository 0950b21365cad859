export * from './batch-codec.js'
export * from './channel-sender.js'
export * from './partitioner.js'
export * from './record-batch.js'
