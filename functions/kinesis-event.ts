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

/** Records from the first that is named on come again; none named: the whole batch is taken. */
export interface BatchResponse {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[]
}
