export * from './keyed-snapshots.js'
export * from './operator-chain.js'
export * from './processing-time.js'
export * from './record-writer.js'
