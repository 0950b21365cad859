export type { JobMetricName, StageMetricName } from './job-metrics.js'
export { type DeployedStage, StreamJob } from './stream-job.js'
export type { AccessLogs, JobAlarmProps, JobBinding, JobSecret, StageProps, StreamJobProps } from './stream-job-props.js'
