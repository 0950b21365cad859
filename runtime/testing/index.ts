export * from './failing-file-system.js'
export * from './harness-runtime-context.js'
export * from './sink-harness.js'
export * from './source-harness.js'
