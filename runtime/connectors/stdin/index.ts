export * from './stdin-source.js'
