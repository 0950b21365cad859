import { App, Stack, Validations } from 'aws-cdk-lib'
import { AttributeType, Table } from 'aws-cdk-lib/aws-dynamodb'
import { Stream, StreamEncryption } from 'aws-cdk-lib/aws-kinesis'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Runtime } from 'aws-cdk-lib/aws-lambda'
import { Secret } from 'aws-cdk-lib/aws-secretsmanager'
import { Queue } from 'aws-cdk-lib/aws-sqs'
import { AwsSolutionsChecks } from 'cdk-nag'
import { describe, expect, it } from 'vitest'
import { StreamJob, type StreamJobProps } from '../../cdk/index.js'
import { FIVE_STAGES } from './stacks.js'

function synthesised(propsOf: (stack: Stack) => Partial<StreamJobProps>): string {
  const app = new App()
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  const stack = new Stack(app, 'checked')
  const words = new Stream(stack, 'Words', { encryption: StreamEncryption.MANAGED })
  const results = new Table(stack, 'Results', {
    partitionKey: { name: 'key', type: AttributeType.STRING },
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
  })
  new StreamJob(stack, 'Job', { entry: FIVE_STAGES, planLock: false, bindings: { words, results }, ...propsOf(stack) })
  try {
    app.synth()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

describe('cdk-nag’s AwsSolutions', { timeout: 300_000 }, () => {
  it('pass with the defaults', () => {
    expect(synthesised(() => ({}))).toBe('')
  })

  it('pass with all there is', () => {
    const props = (stack: Stack): Partial<StreamJobProps> => ({
      encryptionKey: new Key(stack, 'Key', { enableKeyRotation: true }),
      enhancedFanOut: true,
      tracing: true,
      runtime: Runtime.NODEJS_24_X,
      secrets: { TOKEN: Secret.fromSecretCompleteArn(stack, 'Token', 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:token-AbCdEf') },
    })
    expect(synthesised(props)).toBe('')
  })

  it('would find what is not explained', () => {
    const found = synthesised((stack) => {
      new Queue(stack, 'Bare')
      return {}
    })
    expect(found).toContain('AwsSolutions-SQS4')
  })
})
