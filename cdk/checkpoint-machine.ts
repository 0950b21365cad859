import { Duration } from 'aws-cdk-lib'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import {
  Choice,
  Condition,
  DefinitionBody,
  Fail,
  JsonPath,
  StateMachine,
  StateMachineType,
  Succeed,
  TaskInput,
  Wait,
  WaitTime,
} from 'aws-cdk-lib/aws-stepfunctions'
import { LambdaInvoke } from 'aws-cdk-lib/aws-stepfunctions-tasks'
import type { Construct } from 'constructs'

/** Most checkpoints are complete by then: a stage takes a batch a second, and each lets the barrier through with one. */
const POLL = Duration.seconds(3)
/** An express execution lives no longer. */
const TIMEOUT = Duration.minutes(5)

/**
 * The state machine of checkpoints: begin, then look for acknowledgements until all are there. Its input may name a kind:
 * `{ "kind": "savepoint" }`, `{ "kind": "stop" }`. A checkpoint of a job in which nothing has happened since the last one is not begun.
 *
 * It is an express one, which costs a thirtieth of a standard one and may start twice: every step may be repeated. What is not complete when
 * its time is over is looked after by the tick. Of a checkpoint that is aborted nothing is used, and nothing has to be undone.
 */
export function createCheckpointMachine(scope: Construct, id: string, checkpoint: IFunction): StateMachine {
  const begin = retried(
    new LambdaInvoke(scope, `${id}Begin`, {
      lambdaFunction: checkpoint,
      payload: TaskInput.fromObject({ step: 'begin', input: JsonPath.entirePayload }),
      payloadResponseOnly: true,
    }),
  )
  const poll = retried(
    new LambdaInvoke(scope, `${id}Poll`, {
      lambdaFunction: checkpoint,
      payload: TaskInput.fromObject({ step: 'poll', checkpointId: JsonPath.numberAt('$.checkpointId') }),
      payloadResponseOnly: true,
    }),
  )
  const wait = new Wait(scope, `${id}Wait`, { time: WaitTime.duration(POLL) }).next(poll)
  const failed = new Fail(scope, `${id}Failed`, { errorPath: '$.status', causePath: '$.why' })
  begin.next(
    new Choice(scope, `${id}Begun`)
      .when(Condition.stringEquals('$.status', 'begun'), wait)
      .when(Condition.stringEquals('$.status', 'unchanged'), new Succeed(scope, `${id}Unchanged`))
      .otherwise(failed),
  )
  poll.next(
    new Choice(scope, `${id}Done`)
      .when(Condition.stringEquals('$.status', 'completed'), new Succeed(scope, `${id}Completed`))
      .when(Condition.stringEquals('$.status', 'pending'), wait)
      .otherwise(failed),
  )
  const definitionBody = DefinitionBody.fromChainable(begin)
  return new StateMachine(scope, id, { stateMachineType: StateMachineType.EXPRESS, definitionBody, timeout: TIMEOUT })
}

/** Each step may be repeated, so whatever fails is tried again within the checkpoint's time. */
function retried(task: LambdaInvoke): LambdaInvoke {
  task.addRetry({ errors: ['States.ALL'], interval: Duration.seconds(1), backoffRate: 2, maxAttempts: 5, maxDelay: Duration.seconds(30) })
  return task
}
