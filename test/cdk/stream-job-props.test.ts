import { App, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import { AccountPrincipal, User } from 'aws-cdk-lib/aws-iam'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Runtime, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { Construct } from 'constructs'
import { beforeAll, describe, expect, it } from 'vitest'
import { StreamJob } from '../../cdk/index.js'
import { IP_COUNT, ipCount } from './stacks.js'

const PARAMETERS = ['--kinesis', 'accessLog']

describe('StreamJob with all its properties', { timeout: 300_000 }, () => {
  let stack: Stack
  let job: StreamJob
  let template: Template

  beforeAll(() => {
    stack = new Stack(new App(), 'test')
    const topic = new Topic(stack, 'Topic')
    job = ipCount(
      {
        environment: { REGION_OF_STACK: stack.region, FIXED: 'x' },
        secrets: { TOKEN: new Secret(stack, 'Token'), PASSWORD: { secret: new Secret(stack, 'Login'), field: 'password' } },
        memorySize: 512,
        timeout: Duration.minutes(2),
        stages: { count: { memorySize: 2048, timeout: Duration.minutes(5), batchingWindow: Duration.seconds(20), enhancedFanOut: false } },
        runtime: Runtime.NODEJS_24_X,
        startingPosition: StartingPosition.LATEST,
        batchingWindow: Duration.seconds(3),
        enhancedFanOut: true,
        frameRetention: Duration.days(2),
        checkpointInterval: Duration.minutes(10),
        logRetention: RetentionDays.ONE_WEEK,
        removalPolicy: RemovalPolicy.DESTROY,
        encryptionKey: new Key(stack, 'Key'),
        serverAccessLogs: { bucket: new Bucket(stack, 'AccessLogs'), prefix: 'ip-count/' },
        alarms: { actions: [new SnsAction(topic)], iteratorAge: Duration.minutes(1) },
        tracing: true,
      },
      stack,
    ).job
    template = Template.fromStack(stack)
  }, 300_000)

  const functionOf = (stage: string) =>
    template.findResources('AWS::Lambda::Function', { Properties: { Environment: { Variables: { MILLRACE_STAGE: stage } } } })

  it('gives a stage what it has of its own, else what the job has', () => {
    const [lines] = Object.values(functionOf('lines'))
    const [count] = Object.values(functionOf('count'))
    expect(lines.Properties).toMatchObject({ MemorySize: 512, Timeout: 120, Runtime: 'nodejs24.x', Architectures: ['arm64'] })
    expect(count.Properties).toMatchObject({ MemorySize: 2048, Timeout: 300 })
    for (const { Properties } of [lines, count]) {
      expect(Properties.TracingConfig).toEqual({ Mode: 'Active' })
      expect(Properties.Environment.Variables).toMatchObject({ REGION_OF_STACK: { Ref: 'AWS::Region' }, FIXED: 'x' })
    }
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      StartingPosition: 'TRIM_HORIZON',
      MaximumBatchingWindowInSeconds: 20,
      EventSourceArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('Stagecount'), 'Arn'] },
    })
    template.hasResourceProperties('AWS::SQS::Queue', { VisibilityTimeout: 1800 })
    template.hasResourceProperties('AWS::SQS::Queue', { VisibilityTimeout: 720 })
  })

  it('hands secrets over by their ARNs, and lets functions read them', () => {
    const [count] = Object.values(functionOf('count'))
    const text = JSON.stringify(count.Properties.Environment.Variables.MILLRACE_SECRETS)
    expect(text).toMatch(/TOKEN.*Token.*PASSWORD.*Login.*field.*password/)
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([Match.objectLike({ Action: ['secretsmanager:DescribeSecret', 'secretsmanager:GetSecretValue'] })]),
      },
    })
  })

  it('gives streams a consumer where it is asked for, which the mapping reads', () => {
    const consumers = Object.values(template.findResources('AWS::Kinesis::StreamConsumer'))
    // All stages but one.
    expect(consumers).toHaveLength(job.stages.size - 1)
    const [{ Properties }] = Object.values(template.findResources('Custom::MillraceActivation'))
    expect(JSON.stringify(Properties.deployment)).toMatch(/Consumer.*ConsumerARN.*LATEST/)
  })

  it('encrypts everything with the key', () => {
    const key = { 'Fn::GetAtt': [Match.stringLikeRegexp('^Key'), 'Arn'] }
    template.hasResourceProperties('AWS::DynamoDB::Table', { SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: key } })
    template.hasResourceProperties('AWS::S3::Bucket', {
      BucketEncryption: { ServerSideEncryptionConfiguration: [{ BucketKeyEnabled: true, ServerSideEncryptionByDefault: { KMSMasterKeyID: key } }] },
      LoggingConfiguration: { LogFilePrefix: 'ip-count/' },
    })
    template.allResourcesProperties('AWS::SQS::Queue', { KmsMasterKeyId: key })
    template.resourcePropertiesCountIs('AWS::Kinesis::Stream', { RetentionPeriodHours: 48, StreamEncryption: { KeyId: key } }, job.stages.size - 1)
    template.resourcePropertiesCountIs('AWS::Logs::LogGroup', { RetentionInDays: 7, KmsKeyId: key }, job.stages.size + 2)
    template.hasResourceProperties('AWS::KMS::Key', {
      KeyPolicy: { Statement: Match.arrayWith([Match.objectLike({ Principal: { Service: Match.anyValue() }, Resource: '*' })]) },
    })
  })

  it('begins checkpoints so often, and lets the stack go with its data', () => {
    template.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(10 minutes)' })
    for (const type of ['AWS::DynamoDB::Table', 'AWS::S3::Bucket']) template.hasResource(type, { DeletionPolicy: 'Delete' })
  })

  it('raises alarms, the loudest at half of what a stream keeps', () => {
    template.allResourcesProperties('AWS::CloudWatch::Alarm', { AlarmActions: [{ Ref: Match.stringLikeRegexp('^Topic') }] })
    const thresholds = (what: string) =>
      Object.values(template.findResources('AWS::CloudWatch::Alarm'))
        .filter(({ Properties }) => Properties.AlarmDescription.includes(what))
        .map(({ Properties }) => Properties.Threshold)
        .sort((a, b) => a - b)
    expect(thresholds('behind its stream for')).toEqual(Array.from({ length: job.stages.size }, () => 60_000))
    // The stream that is bound keeps 24 hours, those between stages two days.
    expect(thresholds('twice as long')).toEqual([12 * 3_600_000, ...Array.from({ length: job.stages.size - 1 }, () => 24 * 3_600_000)])
    for (const metric of ['gap', 'dead-letter', 'stash-over-limit']) {
      template.hasResourceProperties('AWS::CloudWatch::Alarm', {
        Namespace: 'Millrace',
        MetricName: metric,
        Dimensions: [{ Name: 'Job', Value: 'ip-count' }],
      })
    }
    expect(job.alarms).toHaveLength(Object.keys(template.findResources('AWS::CloudWatch::Alarm')).length)
    template.resourceCountIs('AWS::CloudWatch::Dashboard', 1)
  })
})

describe('StreamJob in a user’s app', { timeout: 300_000 }, () => {
  it('stands twice in one stack, in a nested scope, and reads another stack’s stream', () => {
    const app = new App()
    const data = new Stack(app, 'data')
    const accessLog = new Stream(data, 'AccessLog')
    const stack = new Stack(app, 'jobs')
    const nested = new Construct(new Construct(stack, 'Outer'), 'Inner')
    const jobs = [stack, nested].map(
      (scope) => new StreamJob(scope, 'Job', { entry: IP_COUNT, planLock: false, parameters: PARAMETERS, bindings: { accessLog } }),
    )
    const template = Template.fromStack(stack)
    expect(jobs[0].revision).toBe(jobs[1].revision)
    template.resourceCountIs('AWS::DynamoDB::Table', 2)
    const outputs = Object.keys(template.findOutputs('*')).filter((name) => name.includes('Control'))
    expect(outputs).toHaveLength(2)
    expect(outputs).toContain('JobControl')
    expect(outputs.find((name) => name !== 'JobControl')).toMatch(/^OuterInnerJobControl[0-9A-F]{8}$/)
    template.hasResourceProperties('AWS::Lambda::Function', {
      Environment: { Variables: Match.objectLike({ MILLRACE_BINDINGS: Match.objectLike({ 'Fn::Join': Match.anyValue() }) }) },
    })
    Template.fromStack(data).hasOutput('*', { Export: Match.anyValue() })
  })

  it('has the same revision for the same job, and another for another', () => {
    const revisionOf = (props: Parameters<typeof ipCount>[0]) => ipCount({ alarms: false, dashboard: false, ...props }).job.revision
    const revision = revisionOf({})
    expect(revision).toMatch(/^[0-9a-f]{8}$/)
    expect(revisionOf({})).toBe(revision)
    // What is changed in place is not of the revision.
    expect(revisionOf({ checkpointInterval: Duration.minutes(5), batchingWindow: Duration.seconds(9), logRetention: RetentionDays.ONE_DAY })).toBe(
      revision,
    )
    const others = [
      { parallelism: 3 },
      { memorySize: 256 },
      { environment: { A: 'b' } },
      { stages: { count: { timeout: Duration.minutes(3) } } },
    ].map(revisionOf)
    expect(new Set([revision, ...others]).size).toBe(5)
  })

  it('puts the revision into the ids of what belongs to it, and into no others', () => {
    const ids = (props: Parameters<typeof ipCount>[0]) => {
      const { stack, job } = ipCount({ alarms: false, dashboard: false, ...props })
      const resources = Template.fromStack(stack).toJSON().Resources as Record<string, { Type: string }>
      return { revision: job.revision, ids: Object.entries(resources).map(([id, { Type }]) => `${Type} ${id}`) }
    }
    const [one, other] = [ids({}), ids({ memorySize: 256 })]
    const gone = one.ids.filter((id) => !other.ids.includes(id))
    const types = gone.map((id) => id.split(' ')[0])
    expect(new Set(types)).toEqual(
      new Set([
        'AWS::Kinesis::Stream',
        'AWS::SQS::Queue',
        'AWS::SQS::QueuePolicy',
        'AWS::IAM::Policy',
        'AWS::Lambda::EventSourceMapping',
        'AWS::Lambda::Version',
      ]),
    )
    for (const id of gone) if (!id.startsWith('AWS::Lambda::Version')) expect(id).toContain(one.revision)
  })

  it('activates what else is there, and nothing waits for that', () => {
    const { stack, job } = ipCount()
    const resources = Template.fromStack(stack).toJSON().Resources as Record<string, { Type: string; DependsOn?: string[] }>
    const [[activation, { DependsOn = [] }]] = Object.entries(resources).filter(([, { Type }]) => Type === 'Custom::MillraceActivation')
    const of = (type: string) => Object.keys(resources).filter((id) => resources[id].Type === type)
    for (const id of [
      ...of('AWS::Lambda::EventSourceMapping'),
      ...of('AWS::Lambda::Version'),
      ...of('AWS::DynamoDB::Table'),
      ...of('AWS::Events::Rule'),
    ]) {
      if (!id.includes('ControlFunction')) expect(DependsOn).toContain(id)
    }
    for (const [id, resource] of Object.entries(resources)) expect(JSON.stringify(resource).includes(`"${activation}"`), id).toBe(false)
    expect(job.activation.resource.ref).toBeDefined()
  })

  it('grants and measures', () => {
    const { stack, job } = ipCount({ alarms: false, dashboard: false })
    const user = new User(stack, 'User')
    job.grantControl(user)
    job.grantReadCheckpoints(user)
    job.grantReadDeadLetters(new AccountPrincipal('123456789012'))
    expect(job.metricIteratorAge('count')).toMatchObject({ metricName: 'IteratorAge', statistic: 'Maximum' })
    expect(job.metricCommits('count', { label: 'x' })).toMatchObject({
      namespace: 'Millrace',
      metricName: 'commit',
      dimensions: { Job: 'ip-count', Stage: 'count' },
      label: 'x',
    })
    expect(job.metricDeadLetters()).toMatchObject({ metricName: 'dead-letter', dimensions: { Job: 'ip-count' }, statistic: 'Sum' })
    expect(() => job.metricCommits('none')).toThrow(/OPTION_INVALID: job "ip-count" has no stage "none"/)
    const template = Template.fromStack(stack)
    template.resourceCountIs('AWS::CloudWatch::Alarm', 0)
    template.resourceCountIs('AWS::CloudWatch::Dashboard', 0)
    const [policy] = Object.values(template.findResources('AWS::IAM::Policy', { Properties: { Users: [{ Ref: Match.anyValue() }] } }))
    expect(JSON.stringify(policy)).toMatch(/lambda:InvokeFunction.*\/checkpoints\/ip-count\/\*/)
    template.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: { Statement: Match.arrayWith([Match.objectLike({ Effect: 'Allow', Principal: { AWS: Match.anyValue() } })]) },
    })
  })
})
