import type { Job } from 'millrace'

declare const job: Job
export default job
