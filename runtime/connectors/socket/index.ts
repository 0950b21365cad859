export * from './socket-text-source.js'
