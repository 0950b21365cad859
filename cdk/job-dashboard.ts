import { Duration } from 'aws-cdk-lib'
import { Dashboard, GraphWidget, type IMetric, type IWidget, TextWidget } from 'aws-cdk-lib/aws-cloudwatch'
import type { Construct } from 'constructs'
import type { WatchedJob } from './job-alarms.js'
import { iteratorAge, jobMetric, stageMetric } from './job-metrics.js'

const WIDTH = 24

/** One page for a job: how far each stage is behind, what it does, what went wrong. */
export function createDashboard(scope: Construct, id: string, watched: WatchedJob): Dashboard {
  const { job, stages, control } = watched
  const each = (metricOf: (stage: string) => IMetric) => [...stages.keys()].map(metricOf)
  const handlers = [...stages].map(([stage, { handler }]) => ({ stage, handler }))
  const invoked = [...handlers, { stage: 'control', handler: control }]
  return new Dashboard(scope, id, {
    defaultInterval: Duration.hours(3),
    widgets: [
      [new TextWidget({ markdown: `# Job ${job}\n${[...stages.keys()].join(' → ')}`, width: WIDTH, height: 2 })],
      row(
        graph(
          'How far behind (ms)',
          handlers.map(({ stage, handler }) => iteratorAge(handler, { label: stage })),
        ),
        graph(
          'Commits',
          each((stage) => stageMetric(job, stage, 'commit', { label: stage })),
        ),
        graph('Checkpoints', [
          jobMetric(job, 'checkpoint-completed', { label: 'completed' }),
          jobMetric(job, 'checkpoint-aborted', { label: 'given up' }),
          jobMetric(job, 'checkpoint-timed-out', { label: 'not complete in time' }),
        ]),
      ),
      row(
        graph(
          'Failures',
          (['batch-failed', 'poke-failed', 'gap', 'stash-over-limit', 'dead-letter'] as const).map((name) => jobMetric(job, name)),
        ),
        graph(
          'Errors of functions',
          invoked.map(({ stage, handler }) => handler.metricErrors({ label: stage })),
        ),
        graph(
          'Throttles',
          invoked.map(({ stage, handler }) => handler.metricThrottles({ label: stage })),
        ),
      ),
      row(
        graph(
          'Invocations',
          invoked.map(({ stage, handler }) => handler.metricInvocations({ label: stage })),
        ),
        graph(
          'Duration, p99 (ms)',
          invoked.map(({ stage, handler }) => handler.metricDuration({ label: stage, statistic: 'p99' })),
        ),
        graph(
          'Cold starts',
          each((stage) => stageMetric(job, stage, 'cold-start', { label: stage })),
        ),
      ),
    ],
  })
}

function graph(title: string, left: IMetric[]): (width: number) => IWidget {
  return (width) => new GraphWidget({ title, left, width, height: 6 })
}

function row(...widgets: ((width: number) => IWidget)[]): IWidget[] {
  return widgets.map((widget) => widget(WIDTH / widgets.length))
}
