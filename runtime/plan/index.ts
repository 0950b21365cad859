export * from './compile.js'
export * from './explain.js'
export * from './job-graph.js'
export * from './stream-graph.js'
