import { App, CfnOutput, Duration, Stack } from 'aws-cdk-lib'
import { Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { StreamJob } from './stream-job.js'

/** What `npx cdk synth` and `npx cdk deploy` make of this repository: the ip-count example, and a stream for it to read. */
const app = new App()
const stack = new Stack(app, 'ip-count', { description: 'Millrace example: requests per client IP in windows of 5 seconds' })
const accessLog = new Stream(stack, 'AccessLog', {
  streamMode: StreamMode.PROVISIONED,
  shardCount: 1,
  encryption: StreamEncryption.MANAGED,
  retentionPeriod: Duration.days(7),
})
new CfnOutput(stack, 'AccessLogStream', { value: accessLog.streamName, description: 'Put lines of an access log here' })
new StreamJob(stack, 'IpCount', {
  entry: 'examples/ip-count/job.ts',
  parameters: ['--kinesis', 'accessLog'],
  parallelism: 2,
  bindings: { accessLog },
})
