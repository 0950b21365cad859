import { Duration } from 'aws-cdk-lib'
import { Alarm, ComparisonOperator, type IMetric, MathExpression, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch'
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

/**
 * Alarms of a job, below a scope of their own. By stage: behind, at half of what its stream keeps (what is older is lost: a job that stands still
 * must be mended in the other half), its function fails or is throttled. Of the job: batches that fail, frames that are missing, dead letters,
 * checkpoints that fail, the control function.
 */
export class JobAlarms extends Construct {
  readonly all: readonly Alarm[]

  constructor(scope: Construct, id: string, watched: WatchedJob, { actions = [], iteratorAge: lag = Duration.minutes(15) }: JobAlarmProps) {
    super(scope, id)
    const ofStages = [...watched.stages].flatMap(([stage, { handler, stream }]) => {
      const of = new Construct(this, `Stage-${stage}`)
      return [
        this.#behind(of, stage, handler, lag),
        this.#halfRetention(of, stage, handler, stream),
        ...this.#function(of, `stage ${stage}`, handler),
      ]
    })
    this.all = [...ofStages, ...this.#ofJob(watched), ...this.#function(new Construct(this, 'Control'), 'the control function', watched.control)]
    for (const alarm of this.all) alarm.addAlarmAction(...actions)
  }

  #behind(of: Construct, stage: string, handler: LambdaFunction, lag: Duration): Alarm {
    return alarm(of, 'Behind', {
      metric: iteratorAge(handler),
      from: lag.toMilliseconds(),
      periods: 5,
      says: `stage ${stage} has been more than ${lag.toHumanString()} behind its stream for five minutes`,
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
      alarm(of, 'Errors', { metric: handler.metricErrors(), from: 1, periods: 3, says: `the function of ${name} has failed again and again` }),
      alarm(of, 'Throttles', {
        metric: handler.metricThrottles(),
        from: 1,
        periods: 3,
        says: `the function of ${name} is throttled again and again`,
      }),
    ]
  }

  #ofJob({ job }: WatchedJob): Alarm[] {
    const period = Duration.minutes(5)
    const failures = new MathExpression({
      expression: 'FILL(batches, 0) + FILL(pokes, 0)',
      usingMetrics: { batches: jobMetric(job, 'batch-failed'), pokes: jobMetric(job, 'poke-failed') },
      period,
    })
    return [
      alarm(this, 'Failing', { metric: failures, from: 1, periods: 2, says: `job ${job} fails on the same batches again and again` }),
      // Early frames come all the time, and soon what was missing before them.
      alarm(this, 'Gap', { metric: jobMetric(job, 'gap'), from: 1, periods: 3, says: `job ${job} waits for frames that do not come` }),
      alarm(this, 'Stash', { metric: jobMetric(job, 'stash-over-limit'), from: 1, periods: 1, says: `job ${job} has had to give up a checkpoint` }),
      alarm(this, 'DeadLetters', { metric: jobMetric(job, 'dead-letter'), from: 1, periods: 1, says: `job ${job} could not process records` }),
      alarm(this, 'Checkpoints', {
        metric: jobMetric(job, 'checkpoint-aborted'),
        from: 1,
        periods: 1,
        says: `a checkpoint of job ${job} was given up`,
      }),
    ]
  }
}

interface AlarmOptions {
  readonly metric: IMetric
  /** This and more is alarming. */
  readonly from: number
  /** So many one after the other. */
  readonly periods: number
  readonly says: string
  readonly missing?: TreatMissingData
}

function alarm(scope: Construct, id: string, { metric, from, periods, says, missing = TreatMissingData.NOT_BREACHING }: AlarmOptions): Alarm {
  return new Alarm(scope, id, {
    metric,
    threshold: from,
    comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    evaluationPeriods: periods,
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
