import { App, CfnOutput, Stack } from 'aws-cdk-lib'
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb'
import { Stream, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { StreamJob } from 'millrace/cdk'

/** The job on AWS, with the stream that it reads and the table that it writes. */
const stack = new Stack(new App(), 'my-job')
const views = new Stream(stack, 'Views', { streamMode: StreamMode.PROVISIONED, shardCount: 1 })
const counts = new Table(stack, 'Counts', {
  partitionKey: { name: 'page', type: AttributeType.STRING },
  sortKey: { name: 'start', type: AttributeType.NUMBER },
  billingMode: BillingMode.PAY_PER_REQUEST,
})
new StreamJob(stack, 'Job', { entry: 'job.ts', bindings: { views, counts } })
new CfnOutput(stack, 'ViewsStream', { value: views.streamName })
new CfnOutput(stack, 'CountsTable', { value: counts.tableName })
