export { importJob } from './import-job.js'
export { run } from './run.js'
export type * from './run-options.js'
