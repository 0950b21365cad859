import type { Duration, RemovalPolicy } from 'aws-cdk-lib'
import type { IAlarmAction } from 'aws-cdk-lib/aws-cloudwatch'
import type { ITable } from 'aws-cdk-lib/aws-dynamodb'
import type { IStream } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import type { Runtime, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import type { RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'

/** What a logical name of a job stands for: an object of `aws-cdk-lib`, made in this app or imported. */
export type JobBinding = IStream | ITable | IBucket

/** What one stage has of its own. A stage is named by the uid of its first operator (`npx millrace plan job.ts` lists them). */
export interface StageProps {
  /** Memory of the stage's function, MiB, 128 to 10,240. Its share of a processor grows with it. Default: that of the job. */
  readonly memorySize?: number
  /** How long one invocation may take, 30 s to 15 min. Default: that of the job. */
  readonly timeout?: Duration
  /** How long Lambda gathers records before it invokes the function, 0 s to 5 min. Default: that of the job. */
  readonly batchingWindow?: Duration
  /** Whether the stage's stream has a consumer of its own, see {@link StreamJobProps.enhancedFanOut}. Default: that of the job. */
  readonly enhancedFanOut?: boolean
}

/** When somebody should look at the job. */
export interface JobAlarmProps {
  /** What each alarm does, such as `new SnsAction(topic)`. Default: nothing but to change its colour. */
  readonly actions?: readonly IAlarmAction[]
  /** How far a stage may be behind its stream, for a quarter of an hour on end, before the alarm. Default 15 min. */
  readonly iteratorAge?: Duration
}

/** Where S3 logs who has asked for what in the job's bucket. */
export interface AccessLogs {
  readonly bucket: IBucket
  /** Default: the construct's path and `/`. */
  readonly prefix?: string
}

/** A secret as a whole, or one field of a secret that is a JSON object. */
export type JobSecret = ISecret | { readonly secret: ISecret; readonly field: string }

/** Properties of {@link StreamJob}. */
export interface StreamJobProps {
  /** Path of the module whose default export is the job, TypeScript or JavaScript; relative to where `cdk` is called. */
  readonly entry: string
  /**
   * By its logical name, what each source and sink reads or writes: `{ accessLog: stream }` for `kinesisSource({ stream: 'accessLog' })`. The job's
   * functions get exactly the permissions that this takes. Every name must be bound, and no other. Default: none.
   */
  readonly bindings?: Readonly<Record<string, JobBinding>>
  /** Job parameters as words: `['--threshold', '5']`. They may change the graph, so they are known at synth. Default: none. */
  readonly parameters?: readonly string[]
  /** Parallelism of operators that name none, 1 to the max parallelism. A stage has a shard for each of its subtasks. Default: the job's own. */
  readonly parallelism?: number
  /** Environment variables of all the job's functions. The graph must not depend on them. Default: none. */
  readonly environment?: Readonly<Record<string, string>>
  /**
   * Environment variables that hold secrets of AWS Secrets Manager. A function reads them when it starts, before the job's module is loaded; they
   * stand neither in the template nor in the function's configuration, and they are not there at synth. Default: none.
   */
  readonly secrets?: Readonly<Record<string, JobSecret>>
  /** Memory of each function, MiB, 128 to 10,240. Default 1024. */
  readonly memorySize?: number
  /** How long one invocation may take, 30 s to 15 min. Default 1 min. */
  readonly timeout?: Duration
  /** By stage, what is not as for the others. Default: none. */
  readonly stages?: Readonly<Record<string, StageProps>>
  /** Node.js 22 or 24. Default `Runtime.NODEJS_22_X`. */
  readonly runtime?: Runtime
  /**
   * Where a job that never ran begins to read its sources: `TRIM_HORIZON`, with all there is, or `LATEST`, with what comes from its first deployment on (by times of arrival, so that
   * nothing is missed while Lambda begins to read). Default `StartingPosition.TRIM_HORIZON`.
   */
  readonly startingPosition?: StartingPosition
  /** How long Lambda gathers records before it invokes a function, 0 s to 5 min: longer is cheaper and later. Default 0 s. */
  readonly batchingWindow?: Duration
  /**
   * Whether streams have a consumer of their own (enhanced fan-out): records arrive about 0.7 s sooner, and are not slowed by others who read the
   * stream, for about the price of the shards once more. Default false.
   */
  readonly enhancedFanOut?: boolean
  /** How long the streams between stages keep what was not processed, whole hours, 1 to 365 days. Half of it is the time to repair a job. Default 7 days. */
  readonly frameRetention?: Duration
  /** Time between two checkpoints, whole minutes from 1. A job that has nothing new makes none. Default 1 min. */
  readonly checkpointInterval?: Duration
  /**
   * How many of the savepoints stay with which deployments have stopped the job, 1 to 1,000; older ones are deleted. Savepoints that somebody asked for
   * (`millrace savepoint`, `millrace stop`) all stay. Default 10.
   */
  readonly retainedSavepoints?: number
  /**
   * uids of stateful operators whose state a changed job may leave behind, when it no longer has them. A deployment that would lose other state
   * fails. Default: none.
   */
  readonly allowStateLoss?: readonly string[]
  /**
   * How a changed job goes on. `savepoint`: what runs stops behind a last savepoint, and nothing is done twice. `last-state`: it is not asked to stop, for one that cannot
   * (its code fails every batch): the changed job goes on from its last checkpoint, or the savepoint that it began with, and reads again what came behind that. Sinks that
   * commit with checkpoints write each result once all the same; others write again what the former revision wrote since. Default `savepoint`.
   */
  readonly upgradeMode?: 'savepoint' | 'last-state'
  /**
   * Whether the job's plan is recorded beside its module, in a file `….plan-lock.json` to be committed, so that a change which would lose state fails at
   * synth and shows in its diff. Default true.
   */
  readonly planLock?: boolean
  /**
   * What becomes of a record that a function of the job throws for: `fail`: its batch comes again until it succeeds, and nothing overtakes it;
   * `dead-letter`: it is put aside in the job's bucket, and the job goes on without it (`millrace dead-letters`). Default `fail`.
   */
  readonly failingRecords?: 'fail' | 'dead-letter'
  /** How long the logs of the functions are kept. Default one month. */
  readonly logRetention?: RetentionDays
  /** What becomes of the table and the bucket, which hold the job's state, when they leave the stack. Default `RemovalPolicy.RETAIN`. */
  readonly removalPolicy?: RemovalPolicy
  /**
   * Key for streams, table, bucket, queues and logs. Of one that is imported the policy must let CloudWatch Logs use it. Default: keys that AWS owns, which cost nothing, and
   * for the streams between stages the one that AWS manages for Kinesis (`aws/kinesis`): the key is free, KMS's requests have their price. Kinesis makes one about every five
   * minutes a stream, and more for each set of credentials that writes or reads: by AWS's word less than a few dollars a month.
   */
  readonly encryptionKey?: IKey
  /** Default: none. */
  readonly serverAccessLogs?: AccessLogs
  /** `false`: none. Default: alarms without actions. */
  readonly alarms?: JobAlarmProps | false
  /** Whether to make a CloudWatch dashboard. Default true. */
  readonly dashboard?: boolean
  /** Whether the functions are traced by X-Ray, the control function among them, which makes the checkpoints; the state machines are not. Default false. */
  readonly tracing?: boolean
}
