import { describe, expect, it } from 'vitest'
import { StageMetrics } from '../../functions/stage-metrics.js'

describe('StageMetrics', () => {
  it("writes counts in CloudWatch's embedded metric format, those to look at for the job as a whole too", () => {
    const { metrics, lines } = metricsAt({ job: 'j', stage: 's' })
    metrics.count('commit', 2)
    metrics.count('gap')
    metrics.count('sweep-resumed')
    metrics.flush()
    metrics.flush()
    const named = (...names: string[]) => names.map((Name) => ({ Name, Unit: 'Count' }))
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        level: 'INFO',
        Job: 'j',
        Stage: 's',
        commit: 2,
        gap: 1,
        'sweep-resumed': 1,
        _aws: {
          Timestamp: 1_000,
          CloudWatchMetrics: [
            { Namespace: 'Millrace', Dimensions: [['Job', 'Stage']], Metrics: named('commit', 'gap') },
            { Namespace: 'Millrace', Dimensions: [['Job']], Metrics: named('gap') },
          ],
        },
      },
    ])
  })

  it('says the ordinary once a minute', () => {
    const { metrics, lines, clock } = metricsAt({ job: 'j', stage: 's' })
    for (let invocation = 0; invocation < 100; invocation++) {
      metrics.count('commit')
      metrics.flush()
      clock.now += 1_000
    }
    expect(lines.map((line) => JSON.parse(line).commit)).toEqual([61])
  })

  it('counts for the job when there is no stage', () => {
    const { metrics, lines } = metricsAt({ job: 'j' })
    metrics.count('checkpoint-aborted')
    metrics.flush()
    const { _aws, Stage } = JSON.parse(lines[0])
    expect(Stage).toBeUndefined()
    expect(_aws.CloudWatchMetrics).toEqual([
      { Namespace: 'Millrace', Dimensions: [['Job']], Metrics: [{ Name: 'checkpoint-aborted', Unit: 'Count' }] },
    ])
  })
})

function metricsAt(labels: { job: string; stage?: string }) {
  const lines: string[] = []
  const clock = { now: 1_000 }
  return {
    lines,
    clock,
    metrics: new StageMetrics(
      labels,
      (line) => lines.push(line),
      () => clock.now,
    ),
  }
}
