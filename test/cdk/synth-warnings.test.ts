import { App, Stack } from 'aws-cdk-lib'
import { Annotations, Match } from 'aws-cdk-lib/assertions'
import { AccountRootPrincipal, Role } from 'aws-cdk-lib/aws-iam'
import { expect, it } from 'vitest'
import { fiveStages } from './stacks.js'

it('a job warns of nothing when it is synthesised, whatever it is made with', { timeout: 120_000 }, () => {
  const { stack, job } = fiveStages({ enhancedFanOut: true, tracing: true }, new Stack(new App(), 'test'))
  job.grantControl(new Role(stack, 'Operator', { assumedBy: new AccountRootPrincipal() }))
  const warnings = Annotations.fromStack(stack).findWarning('*', Match.anyValue())
  expect(warnings.map(({ id, entry }) => `${id}: ${String(entry.data)}`)).toEqual([])
})
