import { Duration } from 'aws-cdk-lib'
import { Alarm, ComparisonOperator, type IMetric, MathExpression, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch'
import { type CfnStream, type IStream, Stream } from 'aws-cdk-lib/aws-kinesis'
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'
import { Construct } from 'constructs'
import { iteratorAge, jobMetric } from './job-metrics.js'
import type { JobAlarmProps } from './stream-job-props.js'

export interface WatchedStage {
  readonly handler: LambdaFunction
  readonly stream: IStream
}

export interface WatchedJob {
  readonly job: string
  readonly stages: ReadonlyMap<string, WatchedStage>
  readonly control: LambdaFunction
}

/** What a stream keeps that says nothing of it. */
const LEAST_RETENTION = Duration.hours(24)
/** Of all that is counted here. Also the longest batching window there is: what has come in one period was read in the next at the latest. */
const PERIOD = Duration.minutes(5)
/**
 * So many of so many periods are alarming where the same thing fails again and again. Some things are tried once an hour (upkeep, and a poke whose
 * message is not seen for as long): three failures in a row lie two hours apart, and a little more.
 */
const AGAIN_AND_AGAIN = { periods: 26, alarming: 3 }

/**
 * Alarms of a job, below a scope of their own. By stage: behind (or not read at all), at half of what its stream keeps (what is older is lost: a job that
 * stands still must be mended in the other half), its function fails or is throttled. Of the job: batches that fail, frames that are missing, dead letters,
 * checkpoints that fail, the control function.
 */
export class JobAlarms extends Construct {
  readonly all: readonly Alarm[]
  /** By these alarms are priced: some watch two. */
  readonly metrics: number

  constructor(scope: Construct, id: string, watched: WatchedJob, { actions = [], iteratorAge: lag = Duration.minutes(15) }: JobAlarmProps) {
    super(scope, id)
    const ofStages = [...watched.stages].flatMap(([stage, { handler, stream }]) => {
      const of = new Construct(this, `Stage-${stage}`)
      return [
        this.#behind(of, stage, { handler, stream }, lag),
        this.#halfRetention(of, stage, handler, stream),
        ...this.#function(of, `stage ${stage}`, handler),
      ]
    })
    this.all = [...ofStages, ...this.#ofJob(watched), ...this.#function(new Construct(this, 'Control'), 'the control function', watched.control)]
    for (const alarm of this.all) alarm.addAlarmAction(...actions)
    this.metrics = this.all.reduce((sum, { metric }) => sum + (metric instanceof MathExpression ? Object.keys(metric.usingMetrics).length : 1), 0)
  }

  /** A mapping that cannot read says nothing of itself: no age of any record. That records have come to the stream says it. */
  #behind(of: Construct, stage: string, { handler, stream }: WatchedStage, lag: Duration): Alarm {
    const metric = new MathExpression({
      expression: `IF(FILL(incoming, 0) > 0 AND FILL(age, -1) < 0, ${lag.toMilliseconds()}, FILL(age, 0))`,
      usingMetrics: {
        age: iteratorAge(handler, { period: PERIOD }),
        incoming: stream.metricIncomingRecords({ statistic: Stats.SUM, period: PERIOD }),
      },
      period: PERIOD,
      label: `how far stage ${stage} is behind, ms`,
    })
    return alarm(of, 'Behind', {
      metric,
      from: lag.toMilliseconds(),
      periods: 3,
      says: `stage ${stage} has been more than ${lag.toHumanString()} behind its stream for a quarter of an hour, or has read nothing though records have come`,
    })
  }

  #halfRetention(of: Construct, stage: string, handler: LambdaFunction, stream: IStream): Alarm {
    const half = Duration.seconds(retentionOf(stream).toSeconds() / 2)
    return alarm(of, 'HalfRetention', {
      metric: iteratorAge(handler),
      from: half.toMilliseconds(),
      periods: 1,
      says: `stage ${stage} is ${half.toHumanString()} behind its stream, which keeps records twice as long: mend it before they are lost`,
      // A function that is not called at all says nothing.
      missing: TreatMissingData.IGNORE,
    })
  }

  #function(of: Construct, name: string, handler: LambdaFunction): Alarm[] {
    return [
      alarm(of, 'Errors', {
        metric: handler.metricErrors({ period: PERIOD }),
        from: 1,
        ...AGAIN_AND_AGAIN,
        says: `the function of ${name} has failed again and again`,
      }),
      alarm(of, 'Throttles', {
        metric: handler.metricThrottles(),
        from: 1,
        periods: 3,
        says: `the function of ${name} is throttled again and again`,
      }),
    ]
  }

  #ofJob({ job }: WatchedJob): Alarm[] {
    return [
      alarm(this, 'Failing', {
        metric: sumOf(jobMetric(job, 'batch-failed'), jobMetric(job, 'poke-failed')),
        from: 1,
        ...AGAIN_AND_AGAIN,
        says: `job ${job} fails on the same batches again and again`,
      }),
      // Early frames come all the time, and soon what was missing before them.
      alarm(this, 'Gap', { metric: jobMetric(job, 'gap'), from: 1, periods: 3, says: `job ${job} waits for frames that do not come` }),
      alarm(this, 'Stash', { metric: jobMetric(job, 'stash-over-limit'), from: 1, periods: 1, says: `job ${job} has had to give up a checkpoint` }),
      alarm(this, 'DeadLetters', { metric: jobMetric(job, 'dead-letter'), from: 1, periods: 1, says: `job ${job} could not process records` }),
      alarm(this, 'Checkpoints', {
        metric: sumOf(jobMetric(job, 'checkpoint-aborted'), jobMetric(job, 'checkpoint-timed-out')),
        from: 1,
        periods: 1,
        says: `a checkpoint of job ${job} was given up, or not complete in time`,
      }),
    ]
  }
}

function sumOf(first: IMetric, second: IMetric): MathExpression {
  return new MathExpression({ expression: 'FILL(first, 0) + FILL(second, 0)', usingMetrics: { first, second }, period: PERIOD })
}

interface AlarmOptions {
  readonly metric: IMetric
  /** This and more is alarming. */
  readonly from: number
  readonly periods: number
  /** In so many of the periods, anywhere. Default: in all of them. */
  readonly alarming?: number
  readonly says: string
  readonly missing?: TreatMissingData
}

function alarm(scope: Construct, id: string, options: AlarmOptions): Alarm {
  const { metric, from, periods, alarming = periods, says, missing = TreatMissingData.NOT_BREACHING } = options
  return new Alarm(scope, id, {
    metric,
    threshold: from,
    comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    evaluationPeriods: periods,
    datapointsToAlarm: alarming,
    treatMissingData: missing,
    alarmDescription: `Millrace: ${says}`,
  })
}

/** Of an imported stream nothing is known. */
function retentionOf(stream: IStream): Duration {
  if (!(stream instanceof Stream)) return LEAST_RETENTION
  const hours = (stream.node.defaultChild as CfnStream).retentionPeriodHours
  return hours === undefined ? LEAST_RETENTION : Duration.hours(hours)
}
