import { writeFileSync } from 'node:fs'
import { App, Duration, Stack } from 'aws-cdk-lib'
import { Stream, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Runtime, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { describe, expect, it } from 'vitest'
import { checkProps } from '../../cdk/check-props.js'
import { StreamJob, type StreamJobProps } from '../../cdk/index.js'
import { FIVE_STAGES, moduleOf } from './stacks.js'

const SOURCE = "env.fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks())"
const jobOf = (body: string, before = '') =>
  moduleOf(
    `import { defineJob, kinesisSource, utf8Line, fileSource, lines, socketTextSource, WatermarkStrategy } from 'millrace'\n${before}\n` +
      `export default defineJob('wrong', (env) => { ${body} })\n`,
  )

function construct(entry: string, props: Partial<StreamJobProps> | ((stack: Stack) => Partial<StreamJobProps>) = {}): () => StreamJob {
  const stack = new Stack(new App(), 'test')
  return () => {
    const own = typeof props === 'function' ? props(stack) : props
    return new StreamJob(stack, 'Wrong', { entry, planLock: false, ...own, bindings: own.bindings ?? { words: new Stream(stack, 'Words') } })
  }
}

describe('a job that cannot be deployed is refused at synth', { timeout: 300_000 }, () => {
  it('when there is no module', () => {
    expect(construct('no/such/job.ts')).toThrow(/JOB_NOT_FOUND: there is no job module .*no\/such\/job\.ts/)
  })

  it('when the module has no job', () => {
    expect(construct(moduleOf('export const job = 1\n'))).toThrow(/JOB_NO_DEFAULT_EXPORT/)
  })

  it('when the module cannot be compiled', () => {
    expect(construct(moduleOf('export default (\n'))).toThrow(/JOB_COMPILE: the job cannot be bundled\n.*job\.ts:2:1: Unexpected end of file/)
  })

  it('when the module throws while it is loaded, with its own words and place', () => {
    const entry = moduleOf("function broken(): never {\n  throw new Error('no such thing as a free lunch')\n}\nexport default broken()\n")
    expect(construct(entry)).toThrow(/PLAN_INVALID: the job cannot be deployed\n[\s\S]*no such thing as a free lunch[\s\S]*job\.ts:2:9/)
  })

  it('when it reaches for constructs', () => {
    const entry = jobOf(`${SOURCE}.map((word) => word + String(Stack)).print()`, "import { Stack } from 'aws-cdk-lib'")
    expect(construct(entry)).toThrow(/PLAN_INVALID: the job imports aws-cdk-lib, which is there when[\s\S]*job\.ts, reached from/)
    const types = jobOf(`${SOURCE}.map((word: string & Partial<Stack>) => word).print()`, "import type { Stack } from 'aws-cdk-lib'")
    expect(construct(types)).not.toThrow()
  })

  it('when a parameter is known only when the stack is deployed', () => {
    const wrong = construct(jobOf(`${SOURCE}.print()`), (stack) => ({ parameters: ['--bucket', new Bucket(stack, 'Bucket').bucketName] }))
    expect(wrong).toThrow(/OPTION_INVALID: parameters holds a value that is known only when the stack is deployed[\s\S]*test\/Wrong[\s\S]*bindings/)
  })

  it('when it reads what no function can read', () => {
    const sockets = jobOf("env.fromSource(socketTextSource({ host: 'localhost', port: 9 }), WatermarkStrategy.noWatermarks()).print()")
    expect(construct(sockets, { bindings: {} })).toThrow(
      /PLAN_INVALID: stages on AWS cannot run this job yet: the source "socket[^"]*" does not read a stream/,
    )
    const files = jobOf("env.fromSource(fileSource({ path: 'x', format: lines() }), WatermarkStrategy.noWatermarks()).print()")
    expect(construct(files, { bindings: {} })).toThrow(/PLAN_INVALID: .*"file-source" does not read a stream[\s\S]*kinesisSource/)
  })

  it('when an operator with state has no uid', () => {
    const entry = jobOf(`${SOURCE}.keyBy((word) => word).reduce((a, b) => a + b).print()`)
    expect(construct(entry)).toThrow(/PLAN_INVALID: the reduce operator "Reduce" has state and no uid[\s\S]*\.uid\('reduce'\)/)
  })

  it('when a name would mean something else in a pattern of permissions', () => {
    const entry = jobOf(`${SOURCE}.keyBy((word) => word).reduce((a, b) => a + b).uid('by/word*').print()`)
    expect(construct(entry)).toThrow(/PLAN_INVALID: the uid "by\/word\*" has the character "\/"/)
  })

  it('when its parallelism is above the max parallelism', () => {
    expect(construct(jobOf(`${SOURCE}.print()`), { parallelism: 40_000 })).toThrow(/PLAN_INVALID: the parallelism of .* is 40000/)
  })
})

describe('bindings are refused at synth', { timeout: 300_000 }, () => {
  const bound = (propsOf: (stack: Stack) => StreamJobProps['bindings']) => construct(FIVE_STAGES, (stack) => ({ bindings: propsOf(stack) }))

  it('when a name is not bound', () => {
    expect(bound(() => ({}))).toThrow(
      /OPTION_INVALID: job "five-stages" reads the stream "words" in stage "words", and nothing is bound to it[\s\S]*bindings: \{ words: new Stream/,
    )
  })

  it('when one of them is not used', () => {
    const job = jobOf(`${SOURCE}.print()`)
    const wrong = construct(job, (stack) => ({ bindings: { words: new Stream(stack, 'Words'), word: new Stream(stack, 'Word') } }))
    expect(wrong).toThrow(/OPTION_INVALID: bindings has "word", which job "wrong" does not use[\s\S]*named words/)
  })

  it('when something of another kind is bound', () => {
    const wrong = bound((stack) => ({ words: new Stream(stack, 'Words'), results: new Bucket(stack, 'Bucket') }))
    expect(wrong).toThrow(/OPTION_INVALID: .* writes the table "results" in stage "results", and a bucket is bound to it/)
  })

  it('and not when the stream is one on demand, or another account’s', () => {
    const job = jobOf(`${SOURCE}.print()`)
    expect(construct(job, (stack) => ({ bindings: { words: new Stream(stack, 'S', { streamMode: StreamMode.ON_DEMAND }) } }))).not.toThrow()
    const imported = (stack: Stack) => Stream.fromStreamArn(stack, 'S', 'arn:aws:kinesis:eu-central-1:123456789012:stream/words')
    expect(construct(job, (stack) => ({ bindings: { words: imported(stack) } }))).not.toThrow()
  })

  it('and stages that the job has not', () => {
    const job = jobOf(`${SOURCE}.uid('words').print()`)
    expect(construct(job, { stages: { count: { memorySize: 512 } } })).toThrow(/OPTION_INVALID: job "wrong" has no stage "count"[\s\S]*words/)
  })
})

describe('properties are refused', () => {
  const refused: readonly (readonly [Partial<StreamJobProps>, RegExp])[] = [
    [{ timeout: Duration.seconds(5) }, /timeout is 5 seconds[\s\S]*from 30 to 900/],
    [{ timeout: Duration.minutes(16) }, /timeout is 16 minutes/],
    [{ stages: { count: { timeout: Duration.millis(31_500) } } }, /stages\.count\.timeout is /],
    [{ batchingWindow: Duration.minutes(6) }, /batchingWindow is 6 minutes[\s\S]*from 0 to 300/],
    [{ frameRetention: Duration.hours(1) }, /frameRetention is 1 hour[\s\S]*from 24 to 8760/],
    [{ frameRetention: Duration.minutes(24 * 60 + 1) }, /frameRetention is/],
    [{ checkpointInterval: Duration.seconds(30) }, /checkpointInterval is 30 seconds[\s\S]*whole minutes from 1/],
    [{ checkpointInterval: Duration.seconds(90) }, /checkpointInterval is 1 minute 30 seconds/],
    [{ retainedSavepoints: 0 }, /retainedSavepoints is 0[\s\S]*from 1 to 1,000/],
    [{ memorySize: 64 }, /memorySize is 64[\s\S]*from 128 to 10,240/],
    [{ stages: { count: { memorySize: 1.5 } } }, /stages\.count\.memorySize is 1\.5/],
    [{ runtime: Runtime.NODEJS_18_X }, /runtime is nodejs18\.x[\s\S]*nodejs22\.x or nodejs24\.x/],
    [{ startingPosition: StartingPosition.AT_TIMESTAMP }, /startingPosition is AT_TIMESTAMP[\s\S]*TRIM_HORIZON or LATEST/],
    [{ failingRecords: 'dead-letters' as never }, /failingRecords is dead-letters[\s\S]*fail or dead-letter/],
    [{ upgradeMode: 'laststate' as never }, /upgradeMode is laststate[\s\S]*savepoint or last-state/],
    [{ environment: { MILLRACE_JOB: 'x' } }, /environment sets MILLRACE_JOB/],
    [{ environment: { 'a-b': 'x' } }, /environment sets "a-b"/],
    [{ environment: { A: 'x' }, secrets: { A: {} as never } }, /environment and secrets both set A/],
    [{ alarms: { iteratorAge: Duration.seconds(0) } }, /alarms\.iteratorAge is 0 seconds/],
  ]
  for (const [props, message] of refused) {
    it(JSON.stringify(Object.keys(props)), () => {
      expect(() => checkProps('Stack/Job', { entry: 'job.ts', ...props })).toThrow(message)
      expect(() => checkProps('Stack/Job', { entry: 'job.ts', ...props })).toThrow(/OPTION_INVALID: [\s\S]*StreamJob Stack\/Job/)
    })
  }

  it('and not when they are right', () => {
    const right: StreamJobProps = {
      entry: 'job.ts',
      timeout: Duration.minutes(15),
      batchingWindow: Duration.minutes(5),
      frameRetention: Duration.days(365),
      checkpointInterval: Duration.hours(1),
      memorySize: 10_240,
      runtime: Runtime.NODEJS_24_X,
      startingPosition: StartingPosition.LATEST,
      failingRecords: 'dead-letter',
      upgradeMode: 'last-state',
      environment: { MY_NAME: 'x' },
    }
    expect(() => checkProps('Stack/Job', right)).not.toThrow()
  })

  it('when a state that it had is gone, or its keys are of another type', () => {
    const counting = (state: string, keyTypes: string, open = '') =>
      "import { defineJob, kinesisSource, utf8Line, valueState, WatermarkStrategy } from 'millrace'\n" +
      `export default defineJob('wrong', (env) => { ${SOURCE}.keyBy((word) => word, '${keyTypes}')` +
      `.process({ state: { ${state}: valueState() }, ${open} processElement: () => {} }).uid('count').print() })\n`
    const entry = moduleOf(counting('n', 'string'))
    const synth = construct(entry, { planLock: true })
    expect(synth).not.toThrow()
    writeFileSync(entry, counting('m', 'string'))
    const changed = construct(entry, { planLock: true })
    expect(changed).toThrow(/PLAN_INCOMPATIBLE[\s\S]*count: the value state "n" is gone, and what it holds would be lost[\s\S]*allowStateLoss/)
    writeFileSync(entry, counting('n', 'number'))
    expect(construct(entry, { planLock: true })).toThrow(
      /PLAN_INCOMPATIBLE[\s\S]*count: there is state under keys of type string, and its keys are of type number/,
    )
    // What cannot be opened at synth is not compared there.
    writeFileSync(entry, counting('m', 'string', "open() { throw new Error('no secret') },"))
    expect(construct(entry, { planLock: true })).not.toThrow()
  })
})
