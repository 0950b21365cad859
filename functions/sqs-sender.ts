/** Sends a message to a queue by its URL; it takes `delaySeconds` (0 to 900) to arrive. */
export type SendMessage = (queueUrl: string, body: string, delaySeconds: number) => Promise<unknown>

/** The part of `@aws-sdk/client-sqs` that is used. */
interface SqsModule {
  readonly SQSClient: new () => { send(command: unknown): Promise<unknown> }
  readonly SendMessageCommand: new (input: { readonly QueueUrl: string; readonly MessageBody: string; readonly DelaySeconds: number }) => unknown
}

/** By name and when it is first needed: Lambda's Node brings it, and this package does without it. */
const SQS_MODULE: string = '@aws-sdk/client-sqs'

/** Sends through SQS. */
export function sqsSender(): SendMessage {
  let loading: Promise<{ readonly sqs: SqsModule; readonly client: { send(command: unknown): Promise<unknown> } }> | undefined
  const load = async () => {
    const sqs = (await import(SQS_MODULE)) as SqsModule
    return { sqs, client: new sqs.SQSClient() }
  }
  return async (QueueUrl, MessageBody, DelaySeconds) => {
    loading ??= load()
    const { sqs, client } = await loading
    await client.send(new sqs.SendMessageCommand({ QueueUrl, MessageBody, DelaySeconds }))
  }
}
