import { createHash } from 'node:crypto'
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'

/** What a producer put into one Kinesis record together with others. */
export interface SubRecord {
  readonly data: Uint8Array
  readonly partitionKey: string
  readonly explicitHashKey: string | undefined
}

/** The Kinesis Producer Library's aggregated record: these bytes, a protobuf message, and the message's MD5. */
export const MAGIC = Uint8Array.of(0xf3, 0x89, 0x9a, 0xc2)
const DIGEST_BYTES = 16

export function isAggregated(data: Uint8Array): boolean {
  return data.length >= MAGIC.length + DIGEST_BYTES && MAGIC.every((byte, at) => data[at] === byte)
}

/** Undefined for a record that is none, or is damaged: it stands for itself, as the Kinesis Client Library has it. */
export function deaggregate(data: Uint8Array): readonly SubRecord[] | undefined {
  if (!isAggregated(data)) return undefined
  const message = data.subarray(MAGIC.length, data.length - DIGEST_BYTES)
  const digest = data.subarray(data.length - DIGEST_BYTES)
  if (!createHash('md5').update(message).digest().equals(digest)) return undefined
  try {
    return subRecords(message)
  } catch {
    return undefined
  }
}

/** Where the record belongs among the shards, 0 to 2^128 - 1. */
export function hashKeyOf({ explicitHashKey, partitionKey }: Pick<SubRecord, 'explicitHashKey' | 'partitionKey'>): bigint {
  if (explicitHashKey !== undefined) return BigInt(explicitHashKey)
  return BigInt(`0x${createHash('md5').update(partitionKey, 'utf8').digest('hex')}`)
}

interface Entry {
  readonly partitionKey: number
  readonly explicitHashKey: number | undefined
  readonly data: Uint8Array
}

/** message AggregatedRecord { repeated string partition_key_table = 1; repeated string explicit_hash_key_table = 2; repeated Record records = 3; } */
function subRecords(message: Uint8Array): readonly SubRecord[] {
  const reader = new BinaryReader(message)
  const partitionKeys: string[] = []
  const hashKeys: string[] = []
  const entries: Entry[] = []
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === 1) partitionKeys.push(reader.string())
    else if (field === 2) hashKeys.push(reader.string())
    else if (field === 3) entries.push(entry(reader.bytes()))
    else reader.skip(wireType, field)
  }
  return entries.map(({ partitionKey, explicitHashKey, data }) => ({
    data,
    partitionKey: at(partitionKeys, partitionKey),
    explicitHashKey: explicitHashKey === undefined ? undefined : at(hashKeys, explicitHashKey),
  }))
}

/** message Record { required uint64 partition_key_index = 1; optional uint64 explicit_hash_key_index = 2; required bytes data = 3; } */
function entry(bytes: Uint8Array): Entry {
  const reader = new BinaryReader(bytes)
  let partitionKey: number | undefined
  let explicitHashKey: number | undefined
  let data: Uint8Array | undefined
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === 1 && wireType === WireType.Varint) partitionKey = Number(reader.uint64())
    else if (field === 2 && wireType === WireType.Varint) explicitHashKey = Number(reader.uint64())
    else if (field === 3) data = reader.bytes()
    else reader.skip(wireType, field)
  }
  if (partitionKey === undefined || data === undefined) throw new RangeError('a record without key or data')
  return { partitionKey, explicitHashKey, data }
}

function at(table: readonly string[], index: number): string {
  const key = table[index]
  if (key === undefined) throw new RangeError(`there is no key ${index}`)
  return key
}
