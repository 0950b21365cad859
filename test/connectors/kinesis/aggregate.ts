import { createHash } from 'node:crypto'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

export interface UserRecord {
  readonly data: string
  readonly partitionKey: string
  readonly explicitHashKey?: string
}

/** An aggregated record as the Kinesis Producer Library makes it: keys once each in tables, records by their indexes. */
export function aggregate(records: readonly UserRecord[]): Uint8Array {
  const partitionKeys = [...new Set(records.map(({ partitionKey }) => partitionKey))]
  const hashKeys = [...new Set(records.flatMap(({ explicitHashKey }) => explicitHashKey ?? []))]
  const writer = new BinaryWriter()
  for (const key of partitionKeys) writer.tag(1, WireType.LengthDelimited).string(key)
  for (const key of hashKeys) writer.tag(2, WireType.LengthDelimited).string(key)
  for (const { data, partitionKey, explicitHashKey } of records) {
    writer.tag(3, WireType.LengthDelimited).fork()
    writer.tag(1, WireType.Varint).uint64(partitionKeys.indexOf(partitionKey))
    if (explicitHashKey !== undefined) writer.tag(2, WireType.Varint).uint64(hashKeys.indexOf(explicitHashKey))
    writer.tag(3, WireType.LengthDelimited).bytes(new TextEncoder().encode(data))
    writer.join()
  }
  return framed(writer.finish())
}

/** Magic number, message, digest. */
export function framed(message: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from('f3899ac2', 'hex'), message, createHash('md5').update(message).digest()])
}
