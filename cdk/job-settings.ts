import { Duration } from 'aws-cdk-lib'
import { Runtime, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { StageProps, StreamJobProps } from './stream-job-props.js'

const DEFAULTS = {
  bindings: {},
  parameters: [],
  environment: {},
  secrets: {},
  memorySize: 1024,
  timeout: Duration.minutes(1),
  stages: {},
  runtime: Runtime.NODEJS_22_X,
  startingPosition: StartingPosition.TRIM_HORIZON,
  batchingWindow: Duration.seconds(0),
  enhancedFanOut: false,
  frameRetention: Duration.days(7),
  checkpointInterval: Duration.minutes(1),
  retainedSavepoints: 10,
  failingRecords: 'fail',
  logRetention: RetentionDays.ONE_MONTH,
  allowStateLoss: [],
  upgradeMode: 'savepoint',
  planLock: true,
  alarms: {},
  dashboard: true,
  tracing: false,
} as const satisfies Partial<StreamJobProps>

/** The properties of a job with their defaults. */
export type JobSettings = StreamJobProps & Required<Pick<StreamJobProps, keyof typeof DEFAULTS>>

/** A property that is given as undefined is not given. */
export function settingsOf(props: StreamJobProps): JobSettings {
  return { ...DEFAULTS, ...defined(props) } as JobSettings
}

/** What a stage has of its own goes before what it shares. */
export function stageSettings(settings: JobSettings, stage: string): Required<StageProps> {
  const { memorySize, timeout, batchingWindow, enhancedFanOut } = settings
  return { memorySize, timeout, batchingWindow, enhancedFanOut, ...defined(settings.stages[stage] ?? {}) }
}

function defined<T extends object>(given: T): Partial<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>
}
