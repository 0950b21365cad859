import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda'
import { mockClient } from 'aws-sdk-client-mock'
import { expect, it } from 'vitest'
import { CONTROL_TIMEOUT_MS } from '../../functions/control-timeout.js'
import { callFunction } from '../../functions/function-call.js'

it('waits for a control function longer than that may run, so that no call is repeated beside one that goes on', async () => {
  const lambda = mockClient(LambdaClient)
  try {
    lambda.on(InvokeCommand).resolves({})
    expect(await callFunction('shop-control', '{}')).toEqual({ payload: '', failed: false })
    const [{ thisValue }] = lambda.commandCalls(InvokeCommand)
    const { configProvider } = thisValue.config.requestHandler as unknown as { readonly configProvider: Promise<Record<string, number>> }
    const { requestTimeout, socketTimeout } = await configProvider
    expect(Math.min(requestTimeout, socketTimeout)).toBeGreaterThan(CONTROL_TIMEOUT_MS)
  } finally {
    lambda.restore()
  }
})
