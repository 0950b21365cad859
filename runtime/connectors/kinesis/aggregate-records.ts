import { createHash } from 'node:crypto'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { MAGIC } from './aggregated-record.js'

/** One record that holds several of the same partition key, in their order, in the Kinesis Producer Library's format. */
export function aggregateRecords(partitionKey: string, data: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(partitionKey)
  for (const bytes of data) {
    writer.tag(3, WireType.LengthDelimited).fork()
    writer.tag(1, WireType.Varint).uint64(0)
    writer.tag(3, WireType.LengthDelimited).bytes(bytes)
    writer.join()
  }
  const message = writer.finish()
  return Buffer.concat([MAGIC, message, createHash('md5').update(message).digest()])
}
