import { servers, uniqueName } from './wire.js'

export interface SqsMessage {
  readonly MessageId: string
  readonly Body: string
  readonly ReceiptHandle: string
  /** Of those that are received. */
  readonly Attributes: { readonly ApproximateReceiveCount: string }
}

/** A call of SQS, without its client. */
async function call<T>(action: string, input: object): Promise<T> {
  const headers = {
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': `AmazonSQS.${action}`,
    authorization: 'AWS4-HMAC-SHA256 Credential=local/20260101/eu-central-1/sqs/aws4_request, SignedHeaders=host, Signature=none',
  }
  const response = await fetch(servers.ministack, { method: 'POST', headers, body: JSON.stringify(input) })
  const answer = await response.text()
  if (!response.ok) throw new Error(`${action}: ${response.status} ${answer}`)
  return (answer === '' ? {} : JSON.parse(answer)) as T
}

/** Its URL. A message that was received and not deleted comes again after `visibilitySeconds`. */
export async function createQueue(visibilitySeconds = 1): Promise<string> {
  const input = { QueueName: uniqueName('queue'), Attributes: { VisibilityTimeout: String(visibilitySeconds) } }
  return (await call<{ QueueUrl: string }>('CreateQueue', input)).QueueUrl
}

/** Up to ten; none after `waitSeconds`. */
export async function receive(QueueUrl: string, waitSeconds = 0): Promise<readonly SqsMessage[]> {
  const input = { QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: waitSeconds, AttributeNames: ['ApproximateReceiveCount'] }
  return (await call<{ Messages?: SqsMessage[] }>('ReceiveMessage', input)).Messages ?? []
}

export async function remove(QueueUrl: string, { ReceiptHandle }: SqsMessage): Promise<void> {
  await call('DeleteMessage', { QueueUrl, ReceiptHandle })
}

export async function delayedMessages(QueueUrl: string): Promise<number> {
  const AttributeNames = ['ApproximateNumberOfMessagesDelayed']
  const { Attributes } = await call<{ Attributes: Record<string, string> }>('GetQueueAttributes', { QueueUrl, AttributeNames })
  return Number(Attributes[AttributeNames[0]])
}
