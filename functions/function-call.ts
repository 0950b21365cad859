import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda'
import { callSettings } from '../runtime/backends/aws/call-settings.js'
import { CONTROL_TIMEOUT_MS } from './control-timeout.js'

/** Longer than the function lives: a call that is not waited for to its end is made again while the first still runs. */
const TIMEOUT_MS = CONTROL_TIMEOUT_MS + 10_000

export interface FunctionAnswer {
  /** JSON. */
  readonly payload: string
  /** The function threw, or ran out of time or memory; the payload says what. */
  readonly failed: boolean
}

/** Calls a control function by its name or ARN, from outside, and waits for its answer. Throws what the service said. */
export async function callFunction(name: string, payload: string): Promise<FunctionAnswer> {
  const client = new LambdaClient(callSettings(TIMEOUT_MS))
  try {
    const answer = await client.send(new InvokeCommand({ FunctionName: name, Payload: new TextEncoder().encode(payload) }))
    return { payload: new TextDecoder().decode(answer.Payload), failed: answer.FunctionError !== undefined }
  } finally {
    client.destroy()
  }
}
