export { StreamJob, type StreamJobProps } from './stream-job.js'
