import { Duration, RemovalPolicy } from 'aws-cdk-lib'
import { AttributeType, BillingMode, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb'
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3'
import type { Construct } from 'constructs'
import { PARTS_PREFIX } from '../functions/job-prefixes.js'
import { acknowledge } from './acknowledge.js'
import type { StreamJobProps } from './stream-job-props.js'

type StorageProps = Pick<StreamJobProps, 'removalPolicy' | 'encryptionKey' | 'serverAccessLogs'>

/** Longer than a log keeps the items that refer to them: logs keep three days and are rebased within half of that. */
const PARTS_EXPIRE_AFTER = Duration.days(7)

/** One item a commit, and one an acknowledgement: pk = log, sk = version; and a control item a log. */
export function createTable(scope: Construct, { removalPolicy = RemovalPolicy.RETAIN, encryptionKey }: StorageProps): Table {
  return new Table(scope, 'Table', {
    partitionKey: { name: 'pk', type: AttributeType.STRING },
    sortKey: { name: 'sk', type: AttributeType.STRING },
    timeToLiveAttribute: 'expiresAt',
    billingMode: BillingMode.PAY_PER_REQUEST,
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    ...(encryptionKey === undefined ? {} : { encryption: TableEncryption.CUSTOMER_MANAGED, encryptionKey }),
    removalPolicy,
  })
}

/** Parts of commits expire; checkpoints leave when nothing refers to them, which the control function sees to; dead letters stay. */
export function createBucket(scope: Construct, { removalPolicy = RemovalPolicy.RETAIN, encryptionKey, serverAccessLogs }: StorageProps): Bucket {
  const bucket = new Bucket(scope, 'Bucket', {
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    // With a bucket key a KMS key is asked once in a while, not for each object.
    ...(encryptionKey === undefined
      ? { encryption: BucketEncryption.S3_MANAGED }
      : { encryption: BucketEncryption.KMS, encryptionKey, bucketKeyEnabled: true }),
    enforceSSL: true,
    lifecycleRules: [
      { id: 'parts-of-commits', prefix: PARTS_PREFIX, expiration: PARTS_EXPIRE_AFTER },
      { id: 'unfinished-uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) },
    ],
    ...(serverAccessLogs === undefined
      ? {}
      : { serverAccessLogsBucket: serverAccessLogs.bucket, serverAccessLogsPrefix: serverAccessLogs.prefix ?? `${scope.node.path}/` }),
    removalPolicy,
  })
  if (serverAccessLogs === undefined) {
    acknowledge(bucket, 'S1', 'Only the functions of the job read and write it; `serverAccessLogs` of StreamJob turns the logs on, which cost.')
  }
  return bucket
}
