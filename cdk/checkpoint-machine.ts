import { Duration } from 'aws-cdk-lib'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import {
  Choice,
  Condition,
  DefinitionBody,
  Fail,
  JsonPath,
  Map as MapState,
  StateMachine,
  Succeed,
  TaskInput,
  Wait,
  WaitTime,
} from 'aws-cdk-lib/aws-stepfunctions'
import { LambdaInvoke } from 'aws-cdk-lib/aws-stepfunctions-tasks'
import type { Construct } from 'constructs'

const POLL = Duration.seconds(5)
const TIMEOUT = Duration.minutes(10)

/**
 * The state machine of checkpoints: begin, a barrier to each subtask of each source, then look for acknowledgements until all are there. Of one
 * that fails or times out nothing is used, and nothing has to be undone.
 */
export function createCheckpointMachine(scope: Construct, id: string, checkpoint: IFunction, sources: readonly IFunction[]): StateMachine {
  const begin = retried(
    new LambdaInvoke(scope, `${id}Begin`, {
      lambdaFunction: checkpoint,
      payload: TaskInput.fromObject({ step: 'begin' }),
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
  const done = new Choice(scope, `${id}Done`)
    .when(Condition.stringEquals('$.status', 'completed'), new Succeed(scope, `${id}Completed`))
    .when(Condition.stringEquals('$.status', 'pending'), wait)
    .otherwise(new Fail(scope, `${id}Failed`, { cause: 'The checkpoint function gave no status' }))
  poll.next(done)
  const barriers = sources.map((source, index) => barrierToAll(scope, `${id}Barrier${index + 1}`, source, `$.sources[${index}]`))
  let last = begin as { next(state: MapState | LambdaInvoke): unknown }
  for (const barrier of barriers) {
    last.next(barrier)
    last = barrier
  }
  last.next(poll)
  return new StateMachine(scope, id, { definitionBody: DefinitionBody.fromChainable(begin), timeout: TIMEOUT })
}

function barrierToAll(scope: Construct, id: string, source: IFunction, subtasks: string): MapState {
  const all = new MapState(scope, id, {
    itemsPath: subtasks,
    itemSelector: { barrier: { checkpointId: JsonPath.numberAt('$.checkpointId'), subtask: JsonPath.numberAt('$$.Map.Item.Value') } },
    resultPath: JsonPath.DISCARD,
  })
  all.itemProcessor(retried(new LambdaInvoke(scope, `${id}Subtask`, { lambdaFunction: source, payloadResponseOnly: true })))
  return all
}

/** Each step may be repeated, so whatever fails is tried again within the checkpoint's time. */
function retried(task: LambdaInvoke): LambdaInvoke {
  task.addRetry({ errors: ['States.ALL'], interval: Duration.seconds(1), backoffRate: 2, maxAttempts: 5, maxDelay: Duration.seconds(30) })
  return task
}
