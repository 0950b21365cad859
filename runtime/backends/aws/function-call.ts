import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda'
import { callSettings } from './call-settings.js'

/** Longer than a function of Millrace may take. */
const TIMEOUT_MS = 90_000

export interface FunctionAnswer {
  /** JSON. */
  readonly payload: string
  /** The function threw, or ran out of time or memory; the payload says what. */
  readonly failed: boolean
}

/** Calls a Lambda function by its name or ARN and waits for its answer. Throws what the service said. */
export async function callFunction(name: string, payload: string): Promise<FunctionAnswer> {
  const client = new LambdaClient(callSettings(TIMEOUT_MS))
  try {
    const answer = await client.send(new InvokeCommand({ FunctionName: name, Payload: new TextEncoder().encode(payload) }))
    return { payload: new TextDecoder().decode(answer.Payload), failed: answer.FunctionError !== undefined }
  } finally {
    client.destroy()
  }
}
