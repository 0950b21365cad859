import { App, Duration, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda'
import { beforeAll, describe, expect, it } from 'vitest'
import { JobAlarms } from '../../cdk/job-alarms.js'
import { fiveStages } from './stacks.js'

interface MetricStat {
  readonly Metric: { readonly MetricName: string; readonly Namespace: string }
  readonly Period: number
  readonly Stat: string
}
interface AlarmProperties {
  readonly AlarmDescription: string
  readonly MetricName?: string
  readonly Metrics?: readonly { readonly Id: string; readonly Expression?: string; readonly MetricStat?: MetricStat }[]
  readonly Period?: number
  readonly EvaluationPeriods: number
  readonly DatapointsToAlarm: number
  readonly Threshold: number
  readonly TreatMissingData: string
  readonly ComparisonOperator: string
}
/** By metric; what is missing was not measured in the period. */
type Datapoint = Readonly<Record<string, number>>

const MINUTES_A_PERIOD = 5

const watchedBy = ({ MetricName, Metrics = [] }: AlarmProperties): readonly string[] =>
  MetricName === undefined ? Metrics.flatMap(({ MetricStat }) => MetricStat?.Metric.MetricName ?? []) : [MetricName]

/** Seconds. */
const periodsOf = ({ Period, Metrics = [] }: AlarmProperties): readonly number[] =>
  [Period ?? [], Metrics.flatMap(({ MetricStat }) => MetricStat?.Period ?? [])].flat()

/** What the alarm's metric, or its expression, comes to. */
function measuredBy({ MetricName, Metrics = [] }: AlarmProperties, measured: Datapoint): number | undefined {
  if (MetricName !== undefined) return measured[MetricName]
  const stats = Metrics.filter(({ MetricStat }) => MetricStat !== undefined)
  const [expression] = Metrics.flatMap(({ Expression }) => Expression ?? [])
  const compute = new Function('IF', 'FILL', ...stats.map(({ Id }) => Id), `return ${expression.replaceAll(' AND ', ' && ')}`)
  const chosen = (condition: boolean, then: number, otherwise: number) => (condition ? then : otherwise)
  const filled = (value: number | undefined, otherwise: number) => value ?? otherwise
  return compute(chosen, filled, ...stats.map(({ MetricStat }) => measured[MetricStat?.Metric.MetricName ?? '']))
}

/** Whether these datapoints, one a period, raise the alarm at any time. */
function raised(alarm: AlarmProperties, measured: readonly Datapoint[]): boolean {
  const { EvaluationPeriods, DatapointsToAlarm, Threshold, TreatMissingData, ComparisonOperator } = alarm
  expect(TreatMissingData).toBe('notBreaching')
  expect(ComparisonOperator).toBe('GreaterThanOrEqualToThreshold')
  expect(new Set(periodsOf(alarm))).toEqual(new Set([60 * MINUTES_A_PERIOD]))
  const breaching = measured.map((datapoint) => (measuredBy(alarm, datapoint) ?? Number.NEGATIVE_INFINITY) >= Threshold)
  return breaching.some((_, end) => breaching.slice(Math.max(0, end + 1 - EvaluationPeriods), end + 1).filter(Boolean).length >= DatapointsToAlarm)
}

/** What is counted at these minutes, by period. */
function counted(metric: string, minutes: readonly number[], periods: number): Datapoint[] {
  return Array.from({ length: periods }, (_, period) => {
    const times = minutes.filter((minute) => Math.floor(minute / MINUTES_A_PERIOD) === period).length
    return times === 0 ? {} : { [metric]: times }
  })
}

describe('the alarms of a job', { timeout: 300_000 }, () => {
  let alarms: readonly AlarmProperties[]
  const alarm = (says: string): AlarmProperties => {
    const found = alarms.filter(({ AlarmDescription }) => AlarmDescription.includes(says))
    expect(found).toHaveLength(1)
    return found[0]
  }

  beforeAll(() => {
    const stack = new Stack(new App(), 'test')
    const fn = (id: string) => new LambdaFunction(stack, id, { code: Code.fromInline('x'), handler: 'index.x', runtime: Runtime.NODEJS_24_X })
    const stages = new Map([['count', { handler: fn('Stage'), stream: new Stream(stack, 'Frames', { retentionPeriod: Duration.days(7) }) }]])
    new JobAlarms(stack, 'Alarms', { job: 'clicks', stages, control: fn('Control') }, {})
    alarms = Object.values(Template.fromStack(stack).findResources('AWS::CloudWatch::Alarm')).map(({ Properties }) => Properties)
  })

  it('are raised by what is tried once an hour and fails three times in a row, and not by what fails twice', () => {
    for (const [says, metric] of [
      ['the control function has failed', 'Errors'],
      ['stage count has failed', 'Errors'],
      ['fails on the same batches', 'batch-failed'],
      ['fails on the same batches', 'poke-failed'],
    ]) {
      // Wherever in a period the first falls, and though each comes a little later than an hour behind the one before.
      for (let first = 0; first < MINUTES_A_PERIOD; first += 0.25) {
        const hourly = [first, first + 60.1, first + 120.2]
        expect(raised(alarm(says), counted(metric, hourly, 40)), `${metric} from minute ${first}`).toBe(true)
        expect(raised(alarm(says), counted(metric, hourly.slice(1), 40))).toBe(false)
      }
      expect(raised(alarm(says), counted(metric, [1, 6, 11], 40))).toBe(true)
    }
  })

  it('watch no longer than the day that CloudWatch looks back, at periods that it knows', () => {
    expect(alarms).toHaveLength(11)
    for (const alarm of alarms) {
      const { EvaluationPeriods, DatapointsToAlarm } = alarm
      expect(periodsOf(alarm)).not.toEqual([])
      for (const seconds of periodsOf(alarm)) {
        expect(seconds % 60).toBe(0)
        expect(seconds * EvaluationPeriods).toBeLessThanOrEqual(24 * 3_600)
      }
      expect(DatapointsToAlarm).toBeLessThanOrEqual(EvaluationPeriods)
    }
  })

  it('are raised by a checkpoint that was given up and by one that was not complete in time', () => {
    const checkpoints = alarm('a checkpoint of job clicks was given up, or')
    expect(raised(checkpoints, [{}, { 'checkpoint-aborted': 1 }])).toBe(true)
    expect(raised(checkpoints, [{}, { 'checkpoint-timed-out': 1 }])).toBe(true)
    expect(raised(checkpoints, [{}, {}])).toBe(false)
  })

  it('are raised by a stream that nobody reads, though its function says nothing of that', () => {
    const behind = alarm('behind its stream for a quarter of an hour')
    const unread: Datapoint = { IncomingRecords: 7 }
    expect(raised(behind, [unread, unread, unread])).toBe(true)
    // A job in which nothing happens; one that goes on; one that has nothing to read any more, and is behind by a while.
    expect(raised(behind, Array(30).fill({}))).toBe(false)
    expect(raised(behind, Array(30).fill({ IncomingRecords: 7, IteratorAge: 900 }))).toBe(false)
    expect(raised(behind, Array(3).fill({ IteratorAge: 15 * 60_000 }))).toBe(true)
    expect(raised(behind, [...Array(2).fill({ IncomingRecords: 1, IteratorAge: 16 * 60_000 }), { IncomingRecords: 1, IteratorAge: 5 }])).toBe(false)
  })

  it('are not raised by records that Lambda gathers for as long as it can, however rarely they come', () => {
    const behind = alarm('behind its stream for a quarter of an hour')
    for (let every = 0.5; every < 20; every += 0.5) {
      for (let first = 0; first < MINUTES_A_PERIOD; first += 0.5) {
        const come = Array.from({ length: Math.floor(200 / every) }, (_, index) => first + index * every)
        // A batch of what has come within five minutes, and some seconds for it.
        const read: number[] = []
        for (const minute of come) if (minute > (read.at(-1) ?? -1)) read.push(minute + 5.05)
        const [incoming, ages] = [counted('IncomingRecords', come, 40), counted('IteratorAge', read, 40)]
        expect(
          raised(
            behind,
            incoming.map((datapoint, period) => ({ ...datapoint, ...ages[period] })),
          ),
          `every ${every} from ${first}`,
        ).toBe(false)
      }
    }
  })

  it('are priced by the metrics that they watch', () => {
    const { stack, job } = fiveStages({}, new Stack(new App(), 'priced'))
    const template = Template.fromStack(stack)
    const all = Object.values(template.findResources('AWS::CloudWatch::Alarm')).map(({ Properties }) => Properties as AlarmProperties)
    expect(all).toHaveLength(4 * job.stages.size + 7)
    const metrics = all.flatMap(watchedBy).length
    expect(metrics).toBe(5 * job.stages.size + 9)
    const [{ Properties }] = Object.values(template.findResources('Custom::MillraceActivation'))
    expect(JSON.stringify(Properties.deployment)).toContain(`\\"alarms\\":${metrics},`)
    expect(JSON.stringify(template.findResources('AWS::CloudWatch::Dashboard'))).toContain('checkpoint-timed-out')
  })
})
