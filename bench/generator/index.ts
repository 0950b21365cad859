export * from './access-line.js'
export * from './nexmark.js'
export * from './nexmark-model.js'
export * from './word-line.js'
