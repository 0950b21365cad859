/** What Lambda hands a function for messages of a queue, as far as stages read it. */
export interface SqsEvent {
  readonly Records: readonly SqsEventRecord[]
}

export interface SqsEventRecord {
  readonly messageId: string
  readonly body: string
  /** How often the message has come, this time included, as a number's text. */
  readonly attributes: { readonly ApproximateReceiveCount: string }
}

/** What Lambda hands a function for a batch of a Kinesis shard, as far as stages read it. */
export interface KinesisEvent {
  readonly Records: readonly KinesisEventRecord[]
}

export interface KinesisEventRecord {
  /** Shard and sequence number: `shardId-000000000000:49590338271490256608559692538361571095921575989136588898`. */
  readonly eventID: string
  /** ARN of the stream. */
  readonly eventSourceARN: string
  readonly kinesis: {
    readonly sequenceNumber: string
    readonly partitionKey: string
    /** Base64. */
    readonly data: string
    /** Epoch seconds, with milliseconds behind the point. */
    readonly approximateArrivalTimestamp: number
  }
}

export function isKinesisEvent(event: KinesisEvent | SqsEvent): event is KinesisEvent {
  return event.Records.some((record) => 'kinesis' in record)
}

/** What Lambda tells a function of how it was called. */
export interface InvocationContext {
  /** Ends with the alias that was called, if one was. */
  readonly invokedFunctionArn?: string
}

/** The attempt that the called alias names: `attempt-7`; undefined when the function itself was called. */
export function attemptOf(context: InvocationContext | undefined): number | undefined {
  const attempt = /:function:[^:]+:attempt-(\d+)$/.exec(context?.invokedFunctionArn ?? '')?.[1]
  return attempt === undefined ? undefined : Number(attempt)
}

/**
 * Of a batch: records from the first that is named on come again. Of messages: those that are named come again. None named: all is taken.
 */
export interface BatchResponse {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[]
}
