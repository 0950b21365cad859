import type { KinesisEvent, KinesisEventRecord } from '../functions/stage-event.js'
import type { StreamRecord } from '../runtime/task/record-stream-source.js'

const FIRST_SEQUENCE = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898n

/** A batch as Lambda hands it to a function. `from`: how many records of the shard came before. */
export function kinesisEvent(shard: string, from: number, data: readonly Uint8Array[], arrivalMs: number): KinesisEvent {
  return {
    Records: data.map((bytes, index) => {
      const sequenceNumber = String(FIRST_SEQUENCE + BigInt(from + index))
      return {
        kinesis: {
          kinesisSchemaVersion: '1.0',
          partitionKey: shard,
          sequenceNumber,
          data: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
          approximateArrivalTimestamp: arrivalMs / 1_000,
        },
        eventSource: 'aws:kinesis',
        eventVersion: '1.0',
        eventID: `${shard}:${sequenceNumber}`,
        eventName: 'aws:kinesis:record',
        invokeIdentityArn: 'arn:aws:iam::123456789012:role/stage',
        awsRegion: 'us-east-1',
        eventSourceARN: 'arn:aws:kinesis:us-east-1:123456789012:stream/payments',
      }
    }),
  }
}

/** As functions/stage-handler.ts reads it. */
export function streamRecord({ kinesis }: KinesisEventRecord): StreamRecord {
  return {
    position: BigInt(kinesis.sequenceNumber),
    data: Buffer.from(kinesis.data, 'base64'),
    partitionKey: kinesis.partitionKey,
    arrivalMs: Math.round(kinesis.approximateArrivalTimestamp * 1_000),
  }
}
