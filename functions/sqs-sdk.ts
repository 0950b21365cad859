/** What functions use of SQS's client, by name: a bundle then leaves out the rest. Loaded when it is first needed. */
export { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
