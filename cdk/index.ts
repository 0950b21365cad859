export { type DeployedStage, StreamJob } from './stream-job.js'
export type { AccessLogs, JobAlarmProps, JobBinding, JobSecret, StageProps, StreamJobProps } from './stream-job-props.js'
