export * from './collection-source.js'
export * from './sequence-source.js'
