import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { describe, expect, it } from 'vitest'
import { deaggregate, hashKeyOf, isAggregated } from '../../../runtime/connectors/kinesis/aggregated-record.js'
import { aggregate, framed } from './aggregate.js'

const text = (data: Uint8Array) => new TextDecoder().decode(data)
const LAST = String(2n ** 128n - 1n)

describe('an aggregated record', () => {
  it('gives its records in their order, with keys and explicit hash keys', () => {
    const bytes = aggregate([
      { data: 'one', partitionKey: 'a' },
      { data: '', partitionKey: 'b', explicitHashKey: '7' },
      { data: 'three', partitionKey: 'a', explicitHashKey: LAST },
    ])
    expect(isAggregated(bytes)).toBe(true)
    expect(deaggregate(bytes)?.map((record) => ({ ...record, data: text(record.data) }))).toEqual([
      { data: 'one', partitionKey: 'a', explicitHashKey: undefined },
      { data: '', partitionKey: 'b', explicitHashKey: '7' },
      { data: 'three', partitionKey: 'a', explicitHashKey: LAST },
    ])
  })

  it('reads the bytes that the documented format has for one record', () => {
    // Partition key "pk", then record { partition_key_index: 0, data: "x" }, and the MD5 of these ten bytes.
    const message = Buffer.from('0a02706b1a050800' + '1a0178', 'hex')
    expect(deaggregate(framed(message))?.map(({ data, partitionKey }) => [text(data), partitionKey])).toEqual([['x', 'pk']])
  })

  it('may have fields and tags that are not known', () => {
    const writer = new BinaryWriter()
    writer.tag(1, WireType.LengthDelimited).string('k')
    writer.tag(9, WireType.Varint).uint64(300)
    writer.tag(3, WireType.LengthDelimited).fork()
    writer.tag(1, WireType.Varint).uint64(0).tag(3, WireType.LengthDelimited).bytes(Uint8Array.of(1)).tag(4, WireType.LengthDelimited).string('tag')
    writer.join()
    expect(deaggregate(framed(writer.finish()))?.map(({ data, partitionKey }) => [[...data], partitionKey])).toEqual([[[1], 'k']])
  })

  it('that is damaged, cut off or only looks like one stands for itself', () => {
    const bytes = aggregate([{ data: 'one', partitionKey: 'a' }])
    const flipped = Uint8Array.from(bytes)
    flipped[6] ^= 1
    for (const other of [flipped, bytes.subarray(0, -1), Buffer.from('f3899ac2', 'hex'), new Uint8Array(), Buffer.from('{"a":1}')])
      expect(deaggregate(other)).toBeUndefined()
    // The digest is right, but there is no key 1.
    const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string('k').tag(3, WireType.LengthDelimited).fork()
    const message = writer.tag(1, WireType.Varint).uint64(1).tag(3, WireType.LengthDelimited).bytes(Uint8Array.of(1)).join().finish()
    expect(deaggregate(framed(message))).toBeUndefined()
  })

  it('of nothing holds nothing', () => {
    expect(deaggregate(framed(new Uint8Array()))).toEqual([])
  })
})

describe('a hash key', () => {
  it('is the MD5 of the partition key as a number, unless one is given', () => {
    // md5("a") = 0cc175b9c0f1b6a831c399e269772661
    expect(hashKeyOf({ partitionKey: 'a', explicitHashKey: undefined })).toBe(0x0cc175b9c0f1b6a831c399e269772661n)
    expect(hashKeyOf({ partitionKey: 'a', explicitHashKey: LAST })).toBe(2n ** 128n - 1n)
    expect(hashKeyOf({ partitionKey: 'ä', explicitHashKey: undefined })).toBe(0x8419b71c87a225a2c70b50486fbee545n)
  })
})
