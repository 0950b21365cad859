import { InvokeCommand, type LambdaClient } from '@aws-sdk/client-lambda'
import type { MappedBatch, MappedFunction } from '../runtime/testing/event-source-mapping.js'

/** A function that takes batches of a stream, by the ARNs of both. */
export interface MappedLambda {
  /** With its version or alias, if the mapping names one. */
  readonly functionArn: string
  readonly streamArn: string
}

/** Invokes a function with batches as Lambda's event source mapping does. What the function fails with rejects. */
export function lambdaBatches(lambda: LambdaClient, { functionArn, streamArn }: MappedLambda): MappedFunction {
  const [, , , region, , , name, qualifier] = functionArn.split(':')
  return async (batch) => {
    const Payload = JSON.stringify(batchEvent(batch, streamArn, region))
    const answer = await lambda.send(new InvokeCommand({ FunctionName: name, Qualifier: qualifier, Payload }))
    const text = Buffer.from(answer.Payload ?? []).toString()
    if (answer.FunctionError !== undefined) throw new Error(`${functionArn}: ${text.slice(0, 2_000)}`)
    return { failedFrom: firstFailure(text) }
  }
}

function batchEvent({ splitId, records }: MappedBatch, streamArn: string, awsRegion: string) {
  return {
    Records: records.map(({ position, data, partitionKey, arrivalMs }) => ({
      kinesis: {
        kinesisSchemaVersion: '1.0',
        partitionKey,
        sequenceNumber: String(position),
        data: Buffer.from(data).toString('base64'),
        approximateArrivalTimestamp: arrivalMs / 1_000,
      },
      eventSource: 'aws:kinesis',
      eventVersion: '1.0',
      eventID: `${splitId}:${position}`,
      eventName: 'aws:kinesis:record',
      invokeIdentityArn: 'arn:aws:iam::000000000000:role/event-source-mapping',
      awsRegion,
      eventSourceARN: streamArn,
    })),
  }
}

/** The least position that the answer reports as failed; undefined when it reports none. An answer that cannot be understood fails all, as position -1. */
function firstFailure(answer: string): bigint | undefined {
  if (answer === '') return undefined
  const failures: unknown = JSON.parse(answer)?.batchItemFailures
  if (failures === undefined || failures === null) return undefined
  if (!Array.isArray(failures)) return -1n
  let first: bigint | undefined
  for (const { itemIdentifier } of failures as readonly { readonly itemIdentifier?: unknown }[]) {
    const position = /^\d+$/.test(String(itemIdentifier)) ? BigInt(String(itemIdentifier)) : -1n
    if (first === undefined || position < first) first = position
  }
  return first
}
