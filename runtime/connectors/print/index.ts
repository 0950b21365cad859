export * from './print-sink.js'
