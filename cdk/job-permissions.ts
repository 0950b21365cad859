import { Stack } from 'aws-cdk-lib'
import type { ITable } from 'aws-cdk-lib/aws-dynamodb'
import { type IRole, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { Construct } from 'constructs'
import { checkpointsPrefix, LETTERS_PREFIX, PARTS_PREFIX, planLogName } from '../functions/job-prefixes.js'
import { acknowledgeWildcard } from './acknowledge.js'
import { isStream, isTable, type JobBindings } from './job-bindings.js'
import type { JobBinding } from './stream-job-props.js'

/** What AWS's services ask of a key on behalf of whoever reads and writes through them. No pattern covers more than that. */
export const KEY_ACTIONS = [
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:Encrypt',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncryptFrom',
  'kms:ReEncryptTo',
]

export function allow(role: IRole, actions: readonly string[], resources: readonly string[], conditions?: Record<string, unknown>): void {
  if (resources.length === 0) return
  role.addToPrincipalPolicy(
    new PolicyStatement({ actions: [...actions], resources: [...resources], ...(conditions === undefined ? {} : { conditions }) }),
  )
}

/** Log groups of this account may use the key. One that was imported has a policy of its own, which has to say so. */
export function grantLogGroups(scope: Construct, key: IKey): void {
  const { partition, region, account } = Stack.of(scope)
  key.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal(`logs.${region}.amazonaws.com`)],
      actions: KEY_ACTIONS,
      resources: ['*'],
      conditions: { ArnLike: { 'kms:EncryptionContext:aws:logs:arn': `arn:${partition}:logs:${region}:${account}:log-group:*` } },
    }),
  )
}

/** Where a job's logs and objects stand, and under which names. */
export interface JobData {
  readonly plan: { readonly job: string }
  readonly revision: string
  readonly table: ITable
  readonly bucket: IBucket
}

/**
 * A stage's own logs, and of those of the job: acknowledgements, ends, and the job record, where splits of a source that appear later register and
 * where a subtask whose stash is full gives up a checkpoint. Segments of checkpoints have no stage in their names: another parallelism or another
 * chaining reads what other stages wrote.
 */
export function grantStageData(role: IRole, { plan: { job }, revision, table, bucket }: JobData, stage: string): void {
  const logs = `${job}/${revision}`
  grantLogs(role, table, [`${logs}/${stage}/*`, `${logs}/#acks/*`, `${logs}/#ended/*`, `${job}/#job`])
  grantLogs(role, table, [planLogName(job, revision)], ['dynamodb:Query'])
  const written = ['s3:PutObject']
  const read = ['s3:GetObject', ...written]
  const checkpoints = checkpointsPrefix({ job })
  allowObjects(role, bucket, `${PARTS_PREFIX}${logs}/${stage}/*`, read, "Parts of the stage's commits, whose names hold version and chance.")
  allowObjects(role, bucket, `${PARTS_PREFIX}${logs}/#acks/*`, written, 'What the stage acknowledges, when it is too large for the log.')
  allowObjects(role, bucket, `${checkpoints}ended/*`, written, 'The same of its subtasks that have ended.')
  allowObjects(role, bucket, `${checkpoints}shared/*`, read, "Segments of the job's checkpoints, whose names hold chance.")
  allowObjects(role, bucket, `${LETTERS_PREFIX}${logs}/${stage}/*`, written, "The stage's dead letters, by the commit that gave them up.")
}

/** The control function decides for the job as a whole, also over logs of older revisions. */
export function grantJobData(role: IRole, { plan: { job }, table, bucket }: JobData): void {
  grantLogs(role, table, [`${job}/*`])
  const read = ['s3:GetObject', 's3:PutObject']
  const cleaned = [...read, 's3:DeleteObject']
  allowObjects(role, bucket, `${PARTS_PREFIX}${job}/*`, read, "Parts of the job's commits, whose names hold version and chance.")
  allowObjects(role, bucket, `${checkpointsPrefix({ job })}*`, cleaned, "The job's checkpoints, which it lists, reads, writes and cleans up.")
  // Without it S3 says of an object that is not there that access to it is denied.
  allow(role, ['s3:ListBucket'], [bucket.bucketArn])
}

/** `keys`: a prefix and `*`; `why`: to cdk-nag. */
function allowObjects(role: IRole, bucket: IBucket, keys: string, actions: readonly string[], why: string): void {
  const arn = bucket.arnForObjects(keys)
  allow(role, actions, [arn])
  acknowledgeWildcard(role, arn, why)
}

/** Only the logs whose names match. */
function grantLogs(role: IRole, table: ITable, names: readonly string[], actions: readonly string[] = ['dynamodb:Query', 'dynamodb:PutItem']): void {
  allow(role, actions, [table.tableArn], { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': names } })
}

/** As Lambda asks for on behalf of an event source mapping. */
const MAPPING_ACTIONS = [
  'kinesis:DescribeStream',
  'kinesis:DescribeStreamSummary',
  'kinesis:GetRecords',
  'kinesis:GetShardIterator',
  'kinesis:ListShards',
]

export function grantMapping(role: IRole, stream: IStream, consumerArn: string | undefined): void {
  allow(role, MAPPING_ACTIONS, [stream.streamArn])
  if (consumerArn !== undefined) allow(role, ['kinesis:DescribeStreamConsumer', 'kinesis:SubscribeToShard'], [consumerArn])
  stream.encryptionKey?.grant(role, 'kms:Decrypt')
}

/** What the sinks of a stage write. */
export function grantSinks(role: IRole, bindings: JobBindings, stages: readonly string[]): void {
  const written = new Set(stages.flatMap((stage) => bindings.of(stage).filter(({ access }) => access === 'write')).map(({ bound }) => bound))
  for (const bound of written) grantWrite(role, bound)
}

function grantWrite(role: IRole, bound: JobBinding): void {
  if (isStream(bound)) allow(role, ['kinesis:PutRecords'], [bound.streamArn])
  else if (isTable(bound)) allow(role, ['dynamodb:PutItem'], [bound.tableArn])
  else allowObjects(role, bound, '*', ['s3:PutObject'], 'The bucket is bound to a sink of the job, which names its objects.')
  bound.encryptionKey?.grant(role, ...KEY_ACTIONS)
}

/** What tells the control function which shards a source's stream has, and whether a closed one was read to its end. */
export function grantSourceListing(role: IRole, stream: IStream): void {
  allow(role, ['kinesis:GetRecords', 'kinesis:GetShardIterator', 'kinesis:ListShards'], [stream.streamArn])
  stream.encryptionKey?.grant(role, 'kms:Decrypt')
}
