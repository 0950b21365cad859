import type { CfnElement, IResource } from 'aws-cdk-lib'
import { App, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DeployedStage, StreamJob } from '../../cdk/index.js'
import type { CheckpointStep, CheckpointStepResult } from '../../functions/checkpoint-handler.js'
import type { StageHandler } from '../../functions/stage-handler.js'
import { Deployed } from '../aws/deployed.js'
import { AwsImitation } from '../aws/imitation.js'
import everyWay from './jobs/every-way.js'
import { PolicyEvaluator } from './policy-evaluator.js'
import { everyWayJob } from './stacks.js'

const CONTROL = '#control'

/** Notes whose call each was. */
class Watched extends Deployed {
  readonly made: { readonly by: string; readonly call: string; readonly on: string }[] = []

  override variables(stage?: string): Record<string, string> {
    return { ...super.variables(stage), MILLRACE_FAILING_RECORDS: 'dead-letter' }
  }
  override coldInstance(stage: string): StageHandler {
    const handler = super.coldInstance(stage)
    return (event, context) => this.#noted(stage, () => handler(event, context))
  }
  override activate(): ReturnType<Deployed['activate']> {
    return this.#noted(CONTROL, () => super.activate())
  }
  override control(step: CheckpointStep): Promise<CheckpointStepResult> {
    return this.#noted(CONTROL, () => super.control(step))
  }

  async #noted<T>(by: string, act: () => Promise<T>): Promise<T> {
    const from = this.aws.calls.length
    try {
      return await act()
    } finally {
      for (const { call, on } of this.aws.calls.slice(from)) this.made.push({ by, call, on })
    }
  }
}

describe('what the functions call', { timeout: 300_000 }, () => {
  let aws: AwsImitation

  beforeEach(() => {
    aws = new AwsImitation()
  })
  afterEach(() => aws.restore())

  it('their roles allow: from activation over large parts, checkpoints and dead letters to clean-up', async () => {
    const stack = new Stack(new App(), 'test')
    const { job } = everyWayJob(stack)
    const deployed = new Watched(aws, everyWay, [], 2)
    await deployed.activate()
    for (let round = 0; round < 3; round++) {
      aws.produce(deployed.stream('words'), 0, ['a', 'b', 'poison', 'c'])
      aws.produce(deployed.stream('words'), 1, ['d', 'e'])
      await deployed.run(10)
      const id = await deployed.beginCheckpoint()
      await deployed.run(10)
      expect(await deployed.poll(id)).toMatchObject({ status: 'completed' })
      deployed.forgetInstances()
      await deployed.control({ step: 'tick', subtasks: 'all' })
      await deployed.run(10)
    }
    const policies = new PolicyEvaluator(Template.fromStack(stack))
    const refused = deployed.made.filter(
      ({ by, call, on }) => !requests(job, stack, deployed, call, on).every((one) => policies.allows(roleOf(job, stack, by), one)),
    )
    expect(new Set(refused.map(({ by, call, on }) => `${by}: ${call} ${on}`))).toEqual(new Set())
    const calls = new Set(deployed.made.map(({ call }) => call))
    for (const call of ['Query', 'PutItem', 'PutObject', 'GetObject', 'PutRecords', 'ListShards']) expect(calls).toContain(call)
    const keys = deployed.made.filter(({ call }) => call === 'PutObject').map(({ on }) => on.split('/')[0])
    expect(new Set(keys)).toEqual(new Set(['log', 'checkpoints', 'dead-letters']))
  })
})

function roleOf(job: StreamJob, stack: Stack, by: string): string {
  const handler = by === CONTROL ? job.control : (job.stages.get(by) as DeployedStage).handler
  return stack.getLogicalId((handler.role as IResource).node.defaultChild as CfnElement)
}

/** The imitation's revision is 1. */
function requests(job: StreamJob, stack: Stack, deployed: Deployed, call: string, on: string) {
  const arn = (resource: IResource) => `<${stack.getLogicalId(resource.node.defaultChild as CfnElement)}.Arn>`
  const { plan, revision } = job
  const name = on.split(' ')[0].replace(`${plan.job}/1/`, `${plan.job}/${revision}/`).replace('/#plans/1', `/#plans/${revision}`)
  switch (call) {
    case 'Query':
    case 'PutItem':
      return [{ action: `dynamodb:${call}`, resource: arn(job.table), context: { 'dynamodb:LeadingKeys': [name] } }]
    case 'PutObject':
    case 'GetObject':
    case 'DeleteObject':
      return [{ action: `s3:${call}`, resource: `${arn(job.bucket)}/${name}` }]
    case 'PutRecords':
    case 'ListShards':
    case 'GetShardIterator':
    case 'GetRecords': {
      const stage = [...job.stages.values()].find(({ plan }) => deployed.stream(plan.id) === name)
      return [{ action: `kinesis:${call}`, resource: arn(stage?.stream as IResource) }]
    }
    default:
      throw new Error(`no permission is known for ${call}`)
  }
}
