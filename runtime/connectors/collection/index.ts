export * from './collection-source.js'
