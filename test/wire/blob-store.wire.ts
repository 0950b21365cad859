import { describe, expect, it } from 'vitest'
import { awsClients, S3BlobStore } from '../../runtime/backends/aws/index.js'
import { blobStoreContract } from '../backends/blob-store-contract.js'
import { FaultProxy } from './fault-proxy.js'
import { createBucket, servers } from './wire.js'

const s3 = awsClients({ endpoints: { s3: servers.ministack } }).s3
const open = async () => new S3BlobStore(s3, await createBucket(s3), 'some/prefix/')

blobStoreContract('S3 of MiniStack', open)

describe('S3BlobStore', () => {
  it('lets one of many clients store a name', async () => {
    const { bucket } = await open()
    const stores = Array.from({ length: 30 }, () => new S3BlobStore(awsClients({ endpoints: { s3: servers.ministack } }).s3, bucket))
    for (const name of ['a', 'b/c']) {
      const answers = await Promise.all(stores.map((store, i) => store.put(name, new Uint8Array(1_000).fill(i))))
      expect(answers.filter((answer) => answer === 'stored')).toHaveLength(1)
      expect(await stores[0].get(name)).toEqual(new Uint8Array(1_000).fill(answers.indexOf('stored')))
    }
  })

  it('lists more names than a page holds', async () => {
    const proxy = await FaultProxy.open(servers.ministack)
    const store = await open()
    const names = Array.from({ length: 1_010 }, (_, i) => `n/${i}`)
    for (let at = 0; at < names.length; at += 50) await Promise.all(names.slice(at, at + 50).map((name) => store.put(name, Uint8Array.of(1))))
    const through = new S3BlobStore(awsClients({ endpoints: { s3: proxy.url } }).s3, store.bucket, store.prefix)
    expect(await through.list('n/')).toEqual([...names].sort())
    expect(proxy.count('GET')).toBe(2)
    expect(await through.list('n/100')).toEqual(['n/100', ...Array.from({ length: 10 }, (_, i) => `n/100${i}`)])
    await proxy.close()
  })

  it('keeps large blobs whole', async () => {
    const store = await open()
    const bytes = Uint8Array.from({ length: 9_000_001 }, (_, i) => (i * 7_919) >>> 5)
    expect(await store.put('large', bytes)).toBe('stored')
    expect(Buffer.compare((await store.get('large')) as Uint8Array, bytes)).toBe(0)
    expect(await store.put('empty', new Uint8Array())).toBe('stored')
    expect(await store.get('empty')).toEqual(new Uint8Array())
  })

  it('fails when the bucket is not there', async () => {
    const store = new S3BlobStore(s3, 'absent-bucket')
    await expect(store.put('a', Uint8Array.of(1))).rejects.toMatchObject({ code: 'AWS_CALL' })
    await expect(store.get('a')).rejects.toMatchObject({ code: 'AWS_CALL' })
    await expect(store.list('')).rejects.toMatchObject({ code: 'AWS_CALL' })
  })
})
