import { App, Stack } from 'aws-cdk-lib'
import { StreamJob } from './stream-job.js'

/** What `npx cdk synth` and `npx cdk deploy` make of this repository: the ip-count example. */
const app = new App()
const stack = new Stack(app, 'ip-count', { description: 'Millrace example: requests per client IP in windows of 5 seconds' })
new StreamJob(stack, 'ip-count', { entry: 'examples/ip-count/job.ts', parameters: ['--kinesis', 'access-log'], parallelism: 2 })
