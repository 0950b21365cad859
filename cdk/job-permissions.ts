import { Stack } from 'aws-cdk-lib'
import type { ITable } from 'aws-cdk-lib/aws-dynamodb'
import { type IGrantable, type IRole, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { Construct, IConstruct } from 'constructs'
import { checkpointsPrefix, LETTERS_PREFIX, PARTS_PREFIX, planLogName } from '../functions/job-prefixes.js'
import { acknowledgeWildcard } from './acknowledge.js'
import { isStream, isTable, type JobBindings } from './job-bindings.js'
import type { RevisionAccess } from './revision-access.js'
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

/** A role, or what a revision adds to it. */
type Grantee = IGrantable & IConstruct

export function allow(grantee: Grantee, actions: readonly string[], resources: readonly string[], conditions?: Record<string, unknown>): void {
  if (resources.length === 0) return
  grantee.grantPrincipal.addToPrincipalPolicy(
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
export function grantStageData(access: RevisionAccess, { plan: { job }, revision, table, bucket }: JobData, stage: string): void {
  const logs = `${job}/${revision}`
  grantLogs(access, table, [`${logs}/${stage}/*`, `${logs}/#acks/*`, `${logs}/#ended/*`, `${job}/#job`])
  grantLogs(access, table, [planLogName(job, revision)], ['dynamodb:Query'])
  const written = ['s3:PutObject']
  const read = ['s3:GetObject', ...written]
  const checkpoints = checkpointsPrefix({ job })
  const [parts, segments] = [`${PARTS_PREFIX}${logs}/${stage}/*`, `${checkpoints}shared/*`]
  allowObjects(access, bucket, parts, read, "Parts of the stage's commits, whose names hold version and chance.")
  allowObjects(access, bucket, `${PARTS_PREFIX}${logs}/#acks/*`, written, 'What the stage acknowledges, when it is too large for the log.')
  allowObjects(access, bucket, `${checkpoints}ended/*`, written, 'The same of its subtasks that have ended.')
  allowObjects(access, bucket, segments, read, "Segments of the job's checkpoints, whose names hold chance.")
  allowObjects(access, bucket, `${LETTERS_PREFIX}${logs}/${stage}/*`, written, "The stage's dead letters, by the commit that gave them up.")
  // Without it S3 says of an object that is not there that access to it is denied. The key that was asked for counts as the prefix then.
  allow(access, ['s3:ListBucket'], [bucket.bucketArn], { StringLike: { 's3:prefix': [parts, segments] } })
}

/** The control function decides for the job as a whole, also over logs of older revisions: so no revision changes what it may do with them. */
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
function allowObjects(grantee: Grantee, bucket: IBucket, keys: string, actions: readonly string[], why: string): void {
  const arn = bucket.arnForObjects(keys)
  allow(grantee, actions, [arn])
  acknowledgeWildcard(grantee, arn, why)
}

/** Only the logs whose names match. */
function grantLogs(
  grantee: Grantee,
  table: ITable,
  names: readonly string[],
  actions: readonly string[] = ['dynamodb:Query', 'dynamodb:PutItem'],
): void {
  allow(grantee, actions, [table.tableArn], { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': names } })
}

/** As Lambda asks for on behalf of an event source mapping. */
const MAPPING_ACTIONS = [
  'kinesis:DescribeStream',
  'kinesis:DescribeStreamSummary',
  'kinesis:GetRecords',
  'kinesis:GetShardIterator',
  'kinesis:ListShards',
]

export function grantMapping(access: RevisionAccess, stream: IStream, consumerArn: string | undefined): void {
  allow(access, MAPPING_ACTIONS, [stream.streamArn])
  if (consumerArn !== undefined) allow(access, ['kinesis:DescribeStreamConsumer', 'kinesis:SubscribeToShard'], [consumerArn])
  stream.encryptionKey?.grant(access, 'kms:Decrypt')
}

/** What the sinks of a stage write. */
export function grantSinks(access: RevisionAccess, bindings: JobBindings, stages: readonly string[]): void {
  const written = new Set(stages.flatMap((stage) => bindings.of(stage).filter(({ access }) => access === 'write')).map(({ bound }) => bound))
  for (const bound of written) grantWrite(access, bound)
}

function grantWrite(access: RevisionAccess, bound: JobBinding): void {
  if (isStream(bound)) allow(access, ['kinesis:PutRecords'], [bound.streamArn])
  else if (isTable(bound)) allow(access, ['dynamodb:PutItem'], [bound.tableArn])
  else allowObjects(access, bound, '*', ['s3:PutObject'], 'The bucket is bound to a sink of the job, which names its objects.')
  bound.encryptionKey?.grant(access, ...KEY_ACTIONS)
}

/** What tells the control function which shards a source's stream has, and whether a closed one was read to its end. */
export function grantSourceListing(access: RevisionAccess, stream: IStream): void {
  allow(access, ['kinesis:GetRecords', 'kinesis:GetShardIterator', 'kinesis:ListShards'], [stream.streamArn])
  stream.encryptionKey?.grant(access, 'kms:Decrypt')
}
