import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { callSettings } from '../runtime/backends/aws/index.js'

/** Sends a message to a queue by its URL; it takes `delaySeconds` (0 to 900) to arrive. */
export type SendMessage = (queueUrl: string, body: string, delaySeconds: number) => Promise<unknown>

/** Sends through SQS. Load this module when there is something to send. */
export function sqsSender(): SendMessage {
  const client = new SQSClient(callSettings())
  return (QueueUrl, MessageBody, DelaySeconds) => client.send(new SendMessageCommand({ QueueUrl, MessageBody, DelaySeconds }))
}
