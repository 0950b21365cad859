import { callSettings } from '../runtime/backends/aws/index.js'

/** Sends a message to a queue by its URL; it takes `delaySeconds` (0 to 900) to arrive. */
export type SendMessage = (queueUrl: string, body: string, delaySeconds: number) => Promise<unknown>

/** Sends through SQS, whose client is loaded when it is first needed. */
export function sqsSender(): SendMessage {
  let loading: Promise<SendMessage> | undefined
  const load = async (): Promise<SendMessage> => {
    const { SendMessageCommand, SQSClient } = await import('./sqs-sdk.js')
    const client = new SQSClient(callSettings())
    return (QueueUrl, MessageBody, DelaySeconds) => client.send(new SendMessageCommand({ QueueUrl, MessageBody, DelaySeconds }))
  }
  return async (queueUrl, body, delaySeconds) => {
    loading ??= load()
    return (await loading)(queueUrl, body, delaySeconds)
  }
}
