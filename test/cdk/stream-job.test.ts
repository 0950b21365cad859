import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { App, Stack } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { bundleJob } from '../../cdk/bundle-job.js'
import { type DeployedStage, StreamJob } from '../../cdk/index.js'
import { CONTROL_TIMEOUT_MS } from '../../functions/control-timeout.js'
import { exampleFile } from '../examples/run-example.js'

const ENTRY = exampleFile('ip-count/job.ts')

describe('StreamJob of ip-count', { timeout: 60_000 }, () => {
  let template: Template
  let job: StreamJob

  beforeAll(() => {
    const stack = new Stack(new App(), 'test')
    const accessLog = new Stream(stack, 'AccessLog')
    job = new StreamJob(stack, 'IpCount', {
      entry: ENTRY,
      planLock: false,
      parameters: ['--kinesis', 'accessLog'],
      parallelism: 2,
      bindings: { accessLog },
    })
    template = Template.fromStack(stack)
  }, 60_000)

  it('makes a stream with a shard for each subtask, and a function, for each stage', () => {
    const { vertices } = job.plan.graph
    expect(vertices.map(({ id }) => id)).toContain('count')
    // One of them reads the stream that is bound.
    template.resourceCountIs('AWS::Kinesis::Stream', vertices.length - 1 + 1)
    for (const { id, parallelism } of vertices) {
      template.hasResourceProperties('AWS::Lambda::Function', {
        Runtime: 'nodejs22.x',
        Handler: 'stage.handler',
        Environment: { Variables: Match.objectLike({ MILLRACE_STAGE: id, MILLRACE_JOB: 'ip-count', MILLRACE_PLAN: job.plan.fingerprint }) },
      })
      const { frames } = job.stages.get(id) as DeployedStage
      if (id === 'lines') expect(frames).toBeUndefined()
      else expect(frames?.node.defaultChild).toMatchObject({ shardCount: parallelism, streamModeDetails: { streamMode: 'PROVISIONED' } })
    }
    template.resourcePropertiesCountIs(
      'AWS::Kinesis::Stream',
      { RetentionPeriodHours: 168, StreamEncryption: { EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' } },
      vertices.length - 1,
    )
  })

  it('lets Lambda deliver each batch until it is taken, and reports failures', () => {
    const mappings = Object.values(template.findResources('AWS::Lambda::EventSourceMapping')).map(({ Properties }) => Properties)
    const ofStreams = mappings.filter(({ StartingPosition }) => StartingPosition !== undefined)
    // The mapping of the source's stream is not the template's.
    expect(ofStreams).toHaveLength(job.plan.graph.vertices.length - 1)
    for (const mapping of ofStreams) {
      expect(mapping).toMatchObject({ StartingPosition: 'TRIM_HORIZON', MaximumRetryAttempts: -1, ParallelizationFactor: 1 })
    }
    // And each message of a queue of pokes.
    expect(mappings).toHaveLength(2 * job.plan.graph.vertices.length - 1)
    const versions = Object.keys(template.findResources('AWS::Lambda::Version'))
    for (const { FunctionResponseTypes, FunctionName } of mappings) {
      expect(FunctionResponseTypes).toEqual(['ReportBatchItemFailures'])
      expect(versions.some((version) => JSON.stringify(FunctionName).includes(`"${version}"`))).toBe(true)
    }
  })

  it('makes a queue of pokes for each stage, whose messages outlive no hour', () => {
    template.resourceCountIs('AWS::SQS::Queue', job.plan.graph.vertices.length)
    template.allResourcesProperties('AWS::SQS::Queue', { MessageRetentionPeriod: 3_600, VisibilityTimeout: 360, SqsManagedSseEnabled: true })
    const variables = Object.values(template.findResources('AWS::Lambda::Function'))
      .map(({ Properties }) => Properties.Environment?.Variables)
      .filter((found) => found?.MILLRACE_JOB !== undefined)
    expect(variables).toHaveLength(job.plan.graph.vertices.length + 1)
    for (const { MILLRACE_STAGE, MILLRACE_QUEUES } of variables) {
      const named = job.plan.graph.vertices.filter(({ id }) => JSON.stringify(MILLRACE_QUEUES).includes(`\\"${id}\\":`)).map(({ id }) => id)
      expect(named).toEqual(MILLRACE_STAGE === undefined ? job.plan.graph.vertices.map(({ id }) => id) : [MILLRACE_STAGE])
    }
  })

  it('lets stages poke themselves without end, which Lambda would take for a mistake; the control function has no reason to', () => {
    const loops = Object.values(template.findResources('AWS::Lambda::Function'))
      .filter(({ Properties }) => Properties.Environment?.Variables?.MILLRACE_JOB !== undefined)
      .map(({ Properties }) => [Properties.Handler, Properties.RecursiveLoop])
    expect(loops).toHaveLength(job.plan.graph.vertices.length + 1)
    for (const [handler, loop] of loops) expect(loop).toBe(handler === 'stage.handler' ? 'Allow' : undefined)
  })

  it('pokes sources each minute and all subtasks each hour, and activates what was deployed', () => {
    const tick = (rate: string, subtasks: string) =>
      template.hasResourceProperties('AWS::Events::Rule', {
        ScheduleExpression: `rate(${rate})`,
        Targets: [Match.objectLike({ Input: JSON.stringify({ step: 'tick', subtasks }) })],
      })
    tick('1 minute', 'sources')
    tick('1 hour', 'all')
    // The lease of transitions and the patience of the command line are made for this time-out.
    template.hasResourceProperties('AWS::Lambda::Function', { Handler: 'control.handler', Timeout: CONTROL_TIMEOUT_MS / 1_000 })
    template.resourceCountIs('Custom::MillraceActivation', 1)
  })

  it('makes one table, one bucket and one state machine', () => {
    template.resourceCountIs('AWS::DynamoDB::Table', 1)
    template.hasResourceProperties('AWS::DynamoDB::Table', {
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
      BillingMode: 'PAY_PER_REQUEST',
      TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
    })
    template.resourceCountIs('AWS::S3::Bucket', 1)
    template.hasResourceProperties('AWS::S3::Bucket', {
      PublicAccessBlockConfiguration: { BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true },
      LifecycleConfiguration: {
        Rules: [
          Match.objectLike({ Status: 'Enabled', Prefix: 'log/', ExpirationInDays: 7 }),
          Match.objectLike({ Status: 'Enabled', AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } }),
        ],
      },
    })
    template.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: { Statement: [Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } })] },
    })
    // And that of the provider, which waits for the activation.
    template.resourceCountIs('AWS::StepFunctions::StateMachine', 1 + 1)
  })

  it('begins a checkpoint, then looks until all have acknowledged', () => {
    const [machine] = Object.values(template.findResources('AWS::StepFunctions::StateMachine')) as {
      Properties: { DefinitionString: { 'Fn::Join': [string, unknown[]] }; StateMachineType: string }
    }[]
    expect(machine.Properties.StateMachineType).toBe('EXPRESS')
    const [, parts] = machine.Properties.DefinitionString['Fn::Join']
    const { StartAt, States } = JSON.parse(parts.map((part) => (typeof part === 'string' ? part : 'arn')).join(''))
    const begin = States[StartAt]
    expect(begin.Parameters).toEqual({ step: 'begin', 'input.$': '$' })
    const begun = States[begin.Next]
    const behind = (choice: { Choices: { StringEquals: string; Next: string }[] }, status: string) =>
      choice.Choices.find(({ StringEquals }) => StringEquals === status)?.Next as string
    // Of a job in which nothing has happened none is begun, and that is no failure.
    expect(States[behind(begun, 'unchanged')]).toMatchObject({ Type: 'Succeed' })
    const wait = behind(begun, 'begun')
    expect(States[wait]).toMatchObject({ Type: 'Wait' })
    const poll = States[States[wait].Next]
    expect(poll.Parameters).toEqual({ step: 'poll', 'checkpointId.$': '$.checkpointId' })
    expect(States[behind(States[poll.Next], 'completed')]).toMatchObject({ Type: 'Succeed' })
    expect(behind(States[poll.Next], 'pending')).toBe(wait)
    for (const { Default } of [begun, States[poll.Next]])
      expect(States[Default]).toMatchObject({ Type: 'Fail', ErrorPath: '$.status', CausePath: '$.why' })
  })

  it('bundles functions that load and that know their job', () => {
    const { folder } = bundleJob(ENTRY)
    onTestFinished(() => rmSync(dirname(folder), { recursive: true, force: true }))
    const program = `
      import { handler as stage } from './stage.mjs'
      import { handler as control } from './control.mjs'
      const failures = await Promise.allSettled([stage({ Records: [] }), control({ step: 'begin' }), control(null)])
      process.stdout.write(failures.map(({ reason }) => reason.message.split('\\n')[0]).join('|'))`
    writeFileSync(join(folder, 'try.mjs'), program)
    const variables = {
      MILLRACE_JOB: 'ip-count',
      MILLRACE_REVISION: '1',
      MILLRACE_PLAN: 'another',
      MILLRACE_PARAMETERS: '["--kinesis","access-log"]',
      MILLRACE_PARALLELISM: '2',
      MILLRACE_TABLE: 'table',
      MILLRACE_BUCKET: 'bucket',
      MILLRACE_BINDINGS: '{}',
      MILLRACE_QUEUES: '{}',
    }
    const { stdout, stderr } = spawnSync(process.execPath, [join(folder, 'try.mjs')], { encoding: 'utf8', env: { ...process.env, ...variables } })
    expect(stderr).toBe('')
    const planned = `PLAN_INVALID: the plan of job "ip-count" is ${job.plan.fingerprint} in the function, and another was deployed`
    expect(stdout).toBe(`OPTION_INVALID: the environment variable MILLRACE_STAGE is not set|${planned}|${planned}`)
  })

  it('fails at synth for a job that stages cannot run', () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const entry = join(folder, 'job.mjs')
    writeFileSync(entry, "import { defineJob } from 'millrace'\nexport default defineJob('words', (env) => { env.fromElements('a', 'b').print() })\n")
    expect(() => new StreamJob(new Stack(new App(), 'other'), 'words', { entry })).toThrow(
      /PLAN_INVALID: .*"collection-source" does not read a stream/,
    )
  })
})
