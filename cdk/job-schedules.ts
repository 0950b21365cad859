import type { Duration } from 'aws-cdk-lib'
import { Rule, RuleTargetInput, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction as LambdaTarget, SfnStateMachine } from 'aws-cdk-lib/aws-events-targets'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { IStateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import type { Construct } from 'constructs'

/** Pokes subtasks of sources, to find out that they are idle or have ended; or all of them, to keep their logs fresh. What is missed comes again. */
export function scheduleTick(scope: Construct, id: string, interval: Duration, control: IFunction, subtasks: 'sources' | 'all'): Rule {
  const target = new LambdaTarget(control, { event: RuleTargetInput.fromObject({ step: 'tick', subtasks }), retryAttempts: 0 })
  return new Rule(scope, id, {
    schedule: Schedule.rate(interval),
    targets: [target],
    description: `Pokes ${subtasks === 'all' ? 'all subtasks' : 'the sources'}`,
  })
}

export function scheduleCheckpoints(scope: Construct, id: string, interval: Duration, checkpoints: IStateMachine): Rule {
  const target = new SfnStateMachine(checkpoints, { input: RuleTargetInput.fromObject({ kind: 'checkpoint' }), retryAttempts: 0 })
  return new Rule(scope, id, { schedule: Schedule.rate(interval), targets: [target], description: 'Begins a checkpoint' })
}
