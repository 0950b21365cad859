import { App, Stack } from 'aws-cdk-lib'
import { Template } from 'aws-cdk-lib/assertions'
import { expect, it } from 'vitest'
import { fiveStages } from './stacks.js'

/** What changes with every line of the engine is not what this is about. */
function steady(template: object, revision: string, plan: string): object {
  const text = JSON.stringify(template)
    .replaceAll(revision, 'REVISION')
    .replaceAll(plan, 'PLAN')
    .replaceAll(/\b[0-9a-f]{64}\b/g, 'ASSET')
    .replaceAll(/(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}/g, '$1')
    .replaceAll(/(REVISION\w*?)[0-9A-F]{8}\b/g, '$1')
  return JSON.parse(text)
}

it('the template of five stages', { timeout: 300_000 }, () => {
  const { stack, job } = fiveStages({}, new Stack(new App(), 'test'))
  expect(steady(Template.fromStack(stack).toJSON(), job.revision, job.plan.fingerprint)).toMatchSnapshot()
})
