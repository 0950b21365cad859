import { describe, expect, it } from 'vitest'
import type { BlobStore } from '../../runtime/ports/index.js'

/** What every BlobStore does. `open` gives an empty one. */
export function blobStoreContract(name: string, open: () => Promise<BlobStore>): void {
  describe(`BlobStore: ${name}`, () => {
    it('stores a name once', async () => {
      const store = await open()
      expect(await store.put('chk-1/a', Uint8Array.of(1, 2))).toBe('stored')
      expect(await store.put('chk-1/a', Uint8Array.of(9))).toBe('exists')
      expect([...((await store.get('chk-1/a')) as Uint8Array)]).toEqual([1, 2])
    })

    it('one of two puts at the same time wins', async () => {
      const store = await open()
      const answers = await Promise.all([store.put('x', Uint8Array.of(1)), store.put('x', Uint8Array.of(2)), store.put('x', Uint8Array.of(3))])
      expect(answers.sort()).toEqual(['exists', 'exists', 'stored'])
    })

    it('lists by prefix, sorted, across folders and inside names', async () => {
      const store = await open()
      for (const blob of ['b/2', 'a/1', 'b/10', 'bc', 'b/x/y']) await store.put(blob, Uint8Array.of(0))
      expect(await store.list('')).toEqual(['a/1', 'b/10', 'b/2', 'b/x/y', 'bc'])
      expect(await store.list('b/')).toEqual(['b/10', 'b/2', 'b/x/y'])
      expect(await store.list('b/1')).toEqual(['b/10'])
      expect(await store.list('b')).toEqual(['b/10', 'b/2', 'b/x/y', 'bc'])
      expect(await store.list('b/x/y')).toEqual(['b/x/y'])
      expect(await store.list('zzz')).toEqual([])
    })

    it('deletes, and does not mind what is missing', async () => {
      const store = await open()
      await store.put('a/b', Uint8Array.of(1))
      await store.delete('a/b')
      await store.delete('a/b')
      await store.delete('a')
      expect(await store.get('a/b')).toBeUndefined()
      expect(await store.put('a/b', Uint8Array.of(2))).toBe('stored')
    })

    it('gives undefined for what was never stored', async () => {
      const store = await open()
      await store.put('a/b', Uint8Array.of(1))
      expect(await store.get('a')).toBeUndefined()
      expect(await store.get('nothing')).toBeUndefined()
    })

    it('takes names of any characters', async () => {
      const store = await open()
      const names = ['..', '.hidden', 'a b/ü?', 'c:d', 'x*y', "it's", 'per%cent', 'end.', 'k=v']
      for (const blob of names) expect(await store.put(blob, new TextEncoder().encode(blob))).toBe('stored')
      expect(await store.list('')).toEqual([...names].sort())
      for (const blob of names) expect(new TextDecoder().decode(await store.get(blob))).toBe(blob)
    })

    it('gives some of its bytes, as far as it has them', async () => {
      const store = await open()
      await store.put('a/b', Uint8Array.of(1, 2, 3, 4, 5))
      const read = async (from: number, to: number) => [...((await store.getRange('a/b', { from, to })) as Uint8Array)]
      expect(await read(0, 2)).toEqual([1, 2])
      expect(await read(2, 3)).toEqual([3])
      expect(await read(3, 100)).toEqual([4, 5])
      expect(await store.getRange('a', { from: 0, to: 1 })).toBeUndefined()
      expect(await store.getRange('nothing', { from: 0, to: 1 })).toBeUndefined()
    })

    it('keeps its bytes when the caller changes theirs', async () => {
      const store = await open()
      const bytes = Uint8Array.of(1)
      await store.put('a', bytes)
      bytes[0] = 2
      expect([...((await store.get('a')) as Uint8Array)]).toEqual([1])
    })
  })
}
