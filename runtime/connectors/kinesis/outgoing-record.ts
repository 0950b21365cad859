export interface OutgoingRecord {
  readonly data: Uint8Array
  readonly partitionKey: string
  readonly explicitHashKey?: string | undefined
}

/** Bytes of a record as Kinesis counts them. */
export function sizeOf({ data, partitionKey }: OutgoingRecord): number {
  return data.length + Buffer.byteLength(partitionKey)
}
