import { App, CfnOutput, CfnResource, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb'
import { Stream, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda'
import { StreamJob } from '../cdk/index.js'

/** What a scenario deploys, as JSON in the variable MILLRACE_E2E. */
export interface DeployedExample {
  readonly stack: string
  readonly entry: string
  readonly parallelism: number
  readonly shards: number
  /** Something else in the stack fails when the job has been activated. */
  readonly fails: boolean
}

const { stack: name, entry, parallelism, shards, fails } = JSON.parse(process.env.MILLRACE_E2E ?? '') as DeployedExample
const stack = new Stack(new App(), name)
const accessLog = new Stream(stack, 'AccessLog', { streamMode: StreamMode.PROVISIONED, shardCount: shards, removalPolicy: RemovalPolicy.DESTROY })
const counts = new Table(stack, 'Counts', {
  partitionKey: { name: 'ip', type: AttributeType.STRING },
  sortKey: { name: 'start', type: AttributeType.NUMBER },
  billingMode: BillingMode.PAY_PER_REQUEST,
  removalPolicy: RemovalPolicy.DESTROY,
})
const job = new StreamJob(stack, 'IpCount', {
  entry,
  parameters: ['--kinesis', 'accessLog', '--table', 'counts'],
  parallelism,
  bindings: { accessLog, counts },
  // The example's own lock is that of the app in cdk/.
  planLock: false,
  removalPolicy: RemovalPolicy.DESTROY,
})
new CfnOutput(stack, 'AccessLogStream', { value: accessLog.streamName })
new CfnOutput(stack, 'CountsTable', { value: counts.tableName })
new CfnOutput(stack, 'StateTable', { value: job.table.tableName })
new CfnOutput(stack, 'StateBucket', { value: job.bucket.bucketName })
new CfnOutput(stack, 'CheckpointMachine', { value: job.checkpoints.stateMachineArn })
if (fails) failAfter(job)

/** A resource that cannot be made, which is tried when everything else stands. */
function failAfter(construct: StreamJob): void {
  const refuse = new LambdaFunction(stack, 'Refuse', {
    runtime: Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: Code.fromInline(
      `exports.handler = async (event) => {
        const { StackId, RequestId, LogicalResourceId, RequestType, ResponseURL } = event
        const Status = RequestType === 'Delete' ? 'SUCCESS' : 'FAILED'
        const body = JSON.stringify({ Status, Reason: 'This deployment is to fail', PhysicalResourceId: 'refused', StackId, RequestId, LogicalResourceId })
        await fetch(ResponseURL, { method: 'PUT', body })
      }`,
    ),
  })
  const refused = new CfnResource(stack, 'Refused', { type: 'Custom::Refused', properties: { ServiceToken: refuse.functionArn } })
  refused.node.addDependency(construct)
}
