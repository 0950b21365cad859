export * from './kinesis-source.js'
