import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { App, Stack } from 'aws-cdk-lib'
import { AttributeType, Table } from 'aws-cdk-lib/aws-dynamodb'
import { Stream } from 'aws-cdk-lib/aws-kinesis'
import { onTestFinished } from 'vitest'
import { StreamJob, type StreamJobProps } from '../../cdk/index.js'
import { exampleFile } from '../examples/run-example.js'

export const IP_COUNT = exampleFile('ip-count/job.ts')
export const FIVE_STAGES = fileURLToPath(new URL('./jobs/five-stages.ts', import.meta.url))
const EVERY_WAY = fileURLToPath(new URL('./jobs/every-way.ts', import.meta.url))

/** ip-count in a stack, reading a stream of the stack. */
export function ipCount(props: Partial<StreamJobProps> = {}, stack = new Stack(new App(), 'test')): { stack: Stack; job: StreamJob } {
  const accessLog = new Stream(stack, 'AccessLog')
  const job = new StreamJob(stack, 'IpCount', {
    entry: IP_COUNT,
    planLock: false,
    parameters: ['--kinesis', 'accessLog'],
    parallelism: 2,
    bindings: { accessLog },
    ...props,
  })
  return { stack, job }
}

export function fiveStages(props: Partial<StreamJobProps> = {}, stack = new Stack(new App(), 'test')): { stack: Stack; job: StreamJob } {
  const words = new Stream(stack, 'Words')
  const results = new Table(stack, 'Results', { partitionKey: { name: 'key', type: AttributeType.STRING } })
  return { stack, job: new StreamJob(stack, 'FiveStages', { entry: FIVE_STAGES, planLock: false, bindings: { words, results }, ...props }) }
}

/** A job whose functions make every kind of call. */
export function everyWayJob(stack: Stack): { job: StreamJob } {
  const words = new Stream(stack, 'Words')
  return {
    job: new StreamJob(stack, 'EveryWay', { entry: EVERY_WAY, planLock: false, bindings: { words }, parallelism: 2, failingRecords: 'dead-letter' }),
  }
}

/** A module that is gone after the test. */
export function moduleOf(source: string, name = 'job.ts'): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const entry = join(folder, name)
  writeFileSync(entry, source)
  return entry
}
