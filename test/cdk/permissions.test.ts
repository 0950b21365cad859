import { App, NestedStack, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import type { CfnElement, IResource } from 'aws-cdk-lib/core'
import { beforeAll, describe, expect, it } from 'vitest'
import type { StreamJob } from '../../cdk/index.js'
import { PolicyEvaluator } from './policy-evaluator.js'
import { fiveStages, ipCount } from './stacks.js'

describe('the permissions of two jobs in one stack', { timeout: 300_000 }, () => {
  let stack: Stack
  let job: StreamJob
  let other: StreamJob
  let policies: PolicyEvaluator

  beforeAll(() => {
    stack = new Stack(new App(), 'test')
    job = fiveStages({}, stack).job
    other = ipCount({}, stack).job
    policies = new PolicyEvaluator(Template.fromStack(stack))
  }, 300_000)

  const idOf = (resource: IResource): string => stack.getLogicalId(resource.node.defaultChild as CfnElement)
  const arn = (resource: IResource): string => `<${idOf(resource)}.Arn>`
  const roleOf = (of: StreamJob, stage: string): string => idOf(of.stages.get(stage)?.handler.role as IResource)
  const stagesOf = (of: StreamJob): string[] => [...of.stages.keys()]

  it('let a stage read and write its own logs, those of the job that it must, and no others', () => {
    const may = (role: string, table: IResource, log: string, action = 'dynamodb:PutItem') =>
      policies.allows(role, { action, resource: arn(table), context: { 'dynamodb:LeadingKeys': [log] } })
    const logs = (of: StreamJob, stage: string) => `${of.plan.job}/${of.revision}/${stage}/0`
    for (const stage of stagesOf(job)) {
      const role = roleOf(job, stage)
      for (const action of ['dynamodb:Query', 'dynamodb:PutItem']) expect(may(role, job.table, logs(job, stage), action)).toBe(true)
      for (const log of [`five-stages/${job.revision}/#acks/1/2`, `five-stages/${job.revision}/#ended/1`, 'five-stages/#job']) {
        expect(may(role, job.table, log)).toBe(true)
      }
      for (const strange of stagesOf(job).filter((id) => id !== stage)) expect(may(role, job.table, logs(job, strange))).toBe(false)
      for (const strange of stagesOf(other)) {
        expect(may(role, other.table, logs(other, strange))).toBe(false)
        expect(may(role, job.table, logs(other, strange))).toBe(false)
      }
      expect(may(role, job.table, `five-stages/00000000/${stage}/0`)).toBe(false)
      expect(may(role, job.table, 'five-stages/#deployment')).toBe(false)
      expect(may(role, job.table, 'ip-count/#job')).toBe(false)
      expect(may(role, job.table, logs(job, stage), 'dynamodb:DeleteItem')).toBe(false)
      expect(may(role, job.table, logs(job, stage), 'dynamodb:Scan')).toBe(false)
    }
  })

  it('let a stage touch its own parts and dead letters, and the segments of its job', () => {
    const may = (role: string, action: string, bucket: IResource, key: string) =>
      policies.allows(role, { action: `s3:${action}`, resource: `${arn(bucket)}/${key}` })
    for (const stage of stagesOf(job)) {
      const role = roleOf(job, stage)
      const own = `five-stages/${job.revision}/${stage}/0/7-x`
      for (const action of ['GetObject', 'PutObject']) {
        expect(may(role, action, job.bucket, `log/${own}`)).toBe(true)
        expect(may(role, action, job.bucket, 'checkpoints/five-stages/shared/a-0-1-x.seg')).toBe(true)
        expect(may(role, action, job.bucket, 'checkpoints/five-stages/chk-1/manifest.json')).toBe(false)
        expect(may(role, action, job.bucket, 'checkpoints/ip-count/shared/a-0-1-x.seg')).toBe(false)
        expect(may(role, action, other.bucket, `log/${own}`)).toBe(false)
        expect(may(role, action, other.bucket, 'checkpoints/ip-count/shared/a-0-1-x.seg')).toBe(false)
      }
      // What it reads it may also be told of that it is not there; S3 asks for that with the key as the prefix.
      const listed = (key: string) => policies.allows(role, { action: 's3:ListBucket', resource: arn(job.bucket), context: { 's3:prefix': [key] } })
      expect(listed(`log/${own}`)).toBe(true)
      expect(listed('checkpoints/five-stages/shared/a-0-1-x.seg')).toBe(true)
      expect(listed('checkpoints/five-stages/chk-1/manifest.json')).toBe(false)
      expect(listed('')).toBe(false)
      expect(policies.allows(role, { action: 's3:ListBucket', resource: arn(job.bucket) })).toBe(false)
      expect(may(role, 'PutObject', job.bucket, `dead-letters/${own}`)).toBe(true)
      expect(may(role, 'GetObject', job.bucket, `dead-letters/${own}`)).toBe(false)
      expect(may(role, 'DeleteObject', job.bucket, `log/${own}`)).toBe(false)
      for (const strange of stagesOf(job).filter((id) => id !== stage)) {
        const theirs = `five-stages/${job.revision}/${strange}/0/7-x`
        expect(may(role, 'GetObject', job.bucket, `log/${theirs}`)).toBe(false)
        expect(may(role, 'PutObject', job.bucket, `dead-letters/${theirs}`)).toBe(false)
      }
    }
  })

  it('let a stage read its own stream and queue, and write to the streams behind it only', () => {
    for (const [id, { plan, stream, pokes }] of job.stages) {
      const receivers = new Set(job.plan.graph.edges.filter(({ from }) => from === plan.id).map(({ to }) => to))
      for (const [reader] of job.stages) {
        const role = roleOf(job, reader)
        expect(policies.allows(role, { action: 'kinesis:GetRecords', resource: arn(stream) })).toBe(reader === id)
        expect(policies.allows(role, { action: 'sqs:ReceiveMessage', resource: arn(pokes) })).toBe(reader === id)
        expect(policies.allows(role, { action: 'kinesis:PutRecords', resource: arn(job.stages.get(id)?.stream as IResource) })).toBe(
          job.plan.graph.edges.some(({ from, to }) => from === reader && to === id),
        )
      }
      for (const stage of stagesOf(other)) {
        for (const action of ['kinesis:GetRecords', 'kinesis:PutRecords']) {
          expect(policies.allows(roleOf(other, stage), { action, resource: arn(stream) })).toBe(false)
        }
      }
      expect(receivers.has(id)).toBe(false)
    }
  })

  it('let the sink’s stage write the table that is bound', () => {
    const table = stack.node.findChild('Results') as IResource & { readonly tableArn: string }
    for (const stage of stagesOf(job)) {
      expect(policies.allows(roleOf(job, stage), { action: 'dynamodb:PutItem', resource: arn(table) })).toBe(stage === 'results')
    }
    expect(policies.allows(idOf(job.control.role as IResource), { action: 'dynamodb:PutItem', resource: arn(table) })).toBe(false)
  })

  it('let the control function decide for its job and no other', () => {
    const role = idOf(job.control.role as IResource)
    const may = (table: IResource, log: string) =>
      policies.allows(role, { action: 'dynamodb:PutItem', resource: arn(table), context: { 'dynamodb:LeadingKeys': [log] } })
    for (const log of ['five-stages/#job', 'five-stages/#deployment', `five-stages/${job.revision}/words/0`, 'five-stages/older/words/0']) {
      expect(may(job.table, log)).toBe(true)
      expect(may(other.table, log)).toBe(false)
    }
    expect(may(job.table, 'ip-count/#job')).toBe(false)
    expect(policies.allows(role, { action: 's3:GetObject', resource: `${arn(job.bucket)}/checkpoints/five-stages/chk-1/manifest.json` })).toBe(true)
    expect(policies.allows(role, { action: 's3:GetObject', resource: `${arn(other.bucket)}/checkpoints/ip-count/chk-1/manifest.json` })).toBe(false)
    for (const { handler } of other.stages.values()) {
      const context = { 'lambda:FunctionArn': [arn(handler)] }
      expect(policies.allows(role, { action: 'lambda:CreateEventSourceMapping', resource: '*', context })).toBe(false)
    }
  })

  it('let the control function change aliases and mappings of its sources’ functions and of no others, in a nested stack too', () => {
    const parent = new Stack(new App(), 'parent')
    const nested = new NestedStack(parent, 'Nested')
    const { control, stages } = fiveStages({}, nested as Stack).job
    const found = new PolicyEvaluator(Template.fromStack(nested))
    const role = nested.getLogicalId(control.role?.node.defaultChild as CfnElement)
    const functionOf = (stage: string) => `<${nested.getLogicalId(stages.get(stage)?.handler.node.defaultChild as CfnElement)}.Arn>`
    const strange = 'arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:function:somebody-elses'
    for (const action of ['CreateAlias', 'DeleteAlias', 'GetAlias', 'UpdateAlias']) {
      expect(found.allows(role, { action: `lambda:${action}`, resource: functionOf('words') })).toBe(true)
      for (const resource of [functionOf('by-word'), strange]) expect(found.allows(role, { action: `lambda:${action}`, resource })).toBe(false)
    }
    for (const action of ['CreateEventSourceMapping', 'DeleteEventSourceMapping', 'UpdateEventSourceMapping']) {
      const of = (name: string) => ({ action: `lambda:${action}`, resource: 'any', context: { 'lambda:FunctionArn': [name] } })
      expect(found.allows(role, of(functionOf('words')))).toBe(true)
      expect(found.allows(role, of(`${functionOf('words')}:attempt-3`))).toBe(true)
      for (const name of [functionOf('by-word'), strange]) expect(found.allows(role, of(name))).toBe(false)
    }
    // Of functions that are gone, which no template knows: that they have none.
    expect(found.allows(role, { action: 'lambda:ListAliases', resource: strange })).toBe(true)
  })

  it('have no wildcard in an action, and in a resource of a stage only behind a prefix of its job', () => {
    for (const of of [job, other]) {
      const roles = [...stagesOf(of).map((stage) => roleOf(of, stage)), idOf(of.control.role as IResource)]
      for (const role of roles) {
        for (const { Action } of policies.statements(role)) for (const action of [Action].flat()) expect(action).not.toContain('*')
      }
      for (const stage of stagesOf(of)) {
        const wild = policies
          .statements(roleOf(of, stage))
          .flatMap(({ Resource }) => [Resource].flat())
          .map((resource) => JSON.stringify(resource))
          .filter((resource) => resource.includes('*'))
        expect(wild).toHaveLength(5)
        for (const resource of wild) expect(resource).toMatch(new RegExp(`"/(log|checkpoints|dead-letters)/${of.plan.job}/.+/\\*"`))
      }
    }
  })
})
