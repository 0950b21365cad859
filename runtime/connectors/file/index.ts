export * from './sink/index.js'
export * from './source/index.js'
