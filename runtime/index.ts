/** Millrace: stream processing in Flink's model. Everything a job author imports. */
export * from './api/index.js'
export * from './api/windowing/index.js'
export * from './connectors/index.js'
export * from './core/index.js'
export * from './local/index.js'
