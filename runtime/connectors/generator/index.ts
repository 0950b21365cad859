export type { GeneratorSplit } from './generator-reader.js'
export * from './generator-source.js'
