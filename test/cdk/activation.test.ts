import { App, Duration, Stack, Validations } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Code, Function as LambdaFunction, Runtime, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { RetentionDays } from 'aws-cdk-lib/aws-logs'
import { AwsSolutionsChecks } from 'cdk-nag'
import { describe, expect, it } from 'vitest'
import { Activation } from '../../cdk/activation.js'

function fixture({ checked = false, allowStateLoss = [] as string[] } = {}) {
  const app = new App()
  if (checked) Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  const stack = new Stack(app, 'clicks', { env: { region: 'eu-central-1', account: '123456789012' } })
  const fn = (id: string) => {
    const role = new Role(stack, `${id}Role`, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') })
    return new LambdaFunction(stack, id, { code: Code.fromInline('x'), handler: 'index.x', runtime: Runtime.NODEJS_24_X, role })
  }
  const control = fn('control')
  const stage = fn('stage')
  const activation = new Activation(stack, 'Activation', {
    revision: '0123abcd',
    control,
    controlVersion: control.currentVersion,
    logRetention: RetentionDays.ONE_WEEK,
    allowStateLoss,
    sources: {
      clicks: {
        handler: stage,
        version: stage.currentVersion,
        stream: 'clicks',
        eventSourceArn: 'arn:aws:kinesis:eu-central-1:123456789012:stream/s',
        batchSize: 100,
        batchingWindow: Duration.seconds(2),
        startingPosition: StartingPosition.LATEST,
      },
    },
  })
  return { app, stack, activation }
}

describe('Activation', { timeout: 120_000 }, () => {
  it('says all that the control function must know, as texts', () => {
    const template = Template.fromStack(fixture({ allowStateLoss: ['count'] }).stack)
    const [resource] = Object.values(template.findResources('Custom::MillraceActivation'))
    expect(resource.Properties.allowStateLoss).toBe('["count"]')
    const [, parts] = resource.Properties.deployment['Fn::Join']
    const text = parts.map((part: unknown) => (typeof part === 'string' ? part : 'given')).join('')
    expect(JSON.parse(text)).toEqual({
      revision: '0123abcd',
      control: 'given',
      sources: {
        clicks: {
          functionArn: 'given',
          version: 'given',
          eventSourceArn: 'arn:aws:kinesis:eu-central-1:123456789012:stream/s',
          stream: 'clicks',
          batchSize: 100,
          batchingWindowSeconds: 2,
          start: 'LATEST',
        },
      },
    })
    // It may do what it needs before it is asked.
    const policies = Object.keys(template.findResources('AWS::IAM::Policy'))
    expect(resource.DependsOn.filter((id: string) => policies.includes(id))).toHaveLength(1)
  })

  it('asks every five seconds, for an hour at most', () => {
    const template = Template.fromStack(fixture().stack)
    const [machine] = Object.values(template.findResources('AWS::StepFunctions::StateMachine'))
    const definition = JSON.stringify(machine.Properties.DefinitionString)
    expect(definition).toContain('\\"IntervalSeconds\\":5')
    expect(definition).toContain('\\"MaxAttempts\\":720')
  })

  it('lets the control function make mappings of the sources’ functions only', () => {
    const template = Template.fromStack(fixture().stack)
    const ofStage = Match.arrayWith([{ 'Fn::GetAtt': [Match.stringLikeRegexp('^stage'), 'Arn'] }])
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          {
            Effect: 'Allow',
            Action: ['lambda:CreateEventSourceMapping', 'lambda:DeleteEventSourceMapping', 'lambda:UpdateEventSourceMapping'],
            Resource: '*',
            Condition: { ArnLike: { 'lambda:FunctionArn': ofStage } },
          },
        ]),
      },
    })
  })

  it('passes cdk-nag with each exception explained', () => {
    expect(() => fixture({ checked: true }).app.synth()).not.toThrow()
  })
})
