import { Duration } from 'aws-cdk-lib'
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import { type JOB_METRICS, METRICS_NAMESPACE, type STAGE_METRICS } from '../functions/metric-names.js'

/** Of the job as a whole, whatever the stage. */
export type JobMetricName = (typeof JOB_METRICS)[number] | 'checkpoint-completed'
export type StageMetricName = (typeof STAGE_METRICS)[number] | (typeof JOB_METRICS)[number]

/** A sum over five minutes by default. */
export function jobMetric(job: string, name: JobMetricName, options?: MetricOptions): Metric {
  return metric(name, { Job: job }, options)
}

/** A sum over five minutes by default. */
export function stageMetric(job: string, stage: string, name: StageMetricName, options?: MetricOptions): Metric {
  return metric(name, { Job: job, Stage: stage }, options)
}

function metric(metricName: string, dimensionsMap: Record<string, string>, options?: MetricOptions): Metric {
  return new Metric({ namespace: METRICS_NAMESPACE, metricName, dimensionsMap, statistic: Stats.SUM, period: Duration.minutes(5), ...options })
}

/** How old the records are that the stage gets, ms: how far it is behind. The greatest of a minute by default. */
export function iteratorAge(handler: IFunction, options?: MetricOptions): Metric {
  return handler.metric('IteratorAge', { statistic: Stats.MAXIMUM, period: Duration.minutes(1), ...options })
}
