import { describe, expect, it } from 'vitest'
import { MemoryBlobStore } from '../../runtime/backends/memory/index.js'
import { loadPart, type PartPlace, storeParts } from '../../runtime/task/commit-record.js'

const LOG = 'job/1/stage/0'

function bytes(length: number, filled = 1): Uint8Array {
  return new Uint8Array(length).fill(filled)
}

function place(blobs: MemoryBlobStore, inlineBytes: number): PartPlace {
  let nonces = 0
  return { blobs, log: LOG, version: 7, inlineBytes, nonce: () => `n${++nonces}` }
}

describe('the parts of a commit', () => {
  it('stay in the item as long as they are little together', async () => {
    const blobs = new MemoryBlobStore()
    const parts = [bytes(500), null, bytes(500)]
    expect(await storeParts(place(blobs, 1_000), parts)).toEqual(parts)
    expect(await blobs.list('')).toEqual([])
  })

  it('go to one blob else, but for those that are hardly longer than a reference', async () => {
    const blobs = new MemoryBlobStore()
    const parts = [bytes(600, 1), null, bytes(200, 2), bytes(500, 3), bytes(500, 3)]
    const stored = await storeParts(place(blobs, 1_000), parts)
    expect(await blobs.list('')).toEqual([`${LOG}/7-n1`])
    expect(stored.map((part) => part instanceof Uint8Array)).toEqual([false, false, true, false, false])
    expect(stored[1]).toBeNull()
    for (const [at, part] of stored.entries()) if (part !== null) expect(await loadPart(blobs, LOG, 7, part)).toEqual(parts[at])
  })

  it('never go where another writer of the version has put his', async () => {
    const blobs = new MemoryBlobStore()
    const [one] = await storeParts(place(blobs, 100), [bytes(300, 1)])
    const [other] = await storeParts(place(blobs, 100), [bytes(300, 2)])
    expect(await blobs.list('')).toHaveLength(2)
    expect(await loadPart(blobs, LOG, 7, one as Uint8Array)).toEqual(bytes(300, 1))
    expect(await loadPart(blobs, LOG, 7, other as Uint8Array)).toEqual(bytes(300, 2))
  })

  it('are refused when their part of the blob is damaged, or the blob is too short', async () => {
    const blobs = new MemoryBlobStore()
    const [first, second] = await storeParts(place(blobs, 100), [bytes(300, 1), bytes(300, 2)])
    const name = `${LOG}/7-n1`
    const whole = (await blobs.get(name)) as Uint8Array
    await blobs.delete(name)
    const damaged = whole.slice(0, 599)
    damaged[5] ^= 1
    await blobs.put(name, damaged)
    for (const part of [first, second]) await expect(loadPart(blobs, LOG, 7, part as Uint8Array)).rejects.toMatchObject({ code: 'LOG_CORRUPT' })
  })
})
