import { describe, expect, it } from 'vitest'
import { MemoryBlobStore } from '../../runtime/backends/memory/index.js'
import { CheckpointStore, listCheckpoints, type Manifest, type SegmentRef } from '../../runtime/checkpoint/index.js'
import { aManifest, anOperator, countingNonces } from './manifests.js'

const bytesOf = (text: string) => new TextEncoder().encode(text)

function setup(root = 'dir') {
  const blobs = new MemoryBlobStore()
  const store = new CheckpointStore(blobs, { root, newNonce: countingNonces() })
  const segment = (id: number, text = `state ${id}`, uid = 'sum') => store.writeSegment(uid, 0, id, bytesOf(text))
  const complete = (id: number, segments: readonly SegmentRef[], kind: Manifest['kind'] = 'checkpoint') =>
    store.complete(aManifest({ checkpointId: id, kind, createdAtMs: id * 1000, operators: [anOperator('sum', [segments])] }))
  const damage = async (name: string, change: (bytes: Uint8Array) => Uint8Array) => {
    const bytes = (await blobs.get(name)) as Uint8Array
    await blobs.delete(name)
    await blobs.put(name, change(bytes))
  }
  return { blobs, store, segment, complete, damage }
}

const flip = (bytes: Uint8Array) => bytes.with(bytes.length >> 1, bytes[bytes.length >> 1] ^ 1)

describe('CheckpointStore', () => {
  it('reads back what it wrote; the newest completed one is the latest', async () => {
    const { store, segment, complete } = setup()
    expect(await store.latest()).toBeUndefined()
    const a = await segment(9)
    const done = await complete(9, [a])
    expect(done.path).toBe('dir/chk-9')
    expect(done.bytes).toBeGreaterThan(a.bytes)
    await complete(10, [a, await segment(10)])
    await segment(11)
    expect((await store.latest())?.checkpointId).toBe(10)
    expect(await store.ids()).toEqual([9, 10])
    expect((await store.load(9)).operators[0].subtasks[0].keyed).toEqual([a])
    expect(await store.readSegment(a)).toEqual(bytesOf('state 9'))
  })

  it('names segments so that every file system takes them, each name once', async () => {
    const { store, blobs } = setup()
    for (const uid of ['../../etc', 'con', 'größe|"*?', '', 'x'.repeat(500), '.hidden']) {
      const ref = await store.writeSegment(uid, 3, 7, bytesOf(uid))
      expect(ref.name).toMatch(/^shared\/[A-Za-z0-9_-]{1,60}-3-7-n\d+\.seg$|^shared\/-3-7-n\d+\.seg$/)
      expect(await store.readSegment(ref)).toEqual(bytesOf(uid))
    }
    let calls = 0
    const clumsy = new CheckpointStore(blobs, { newNonce: () => (++calls < 3 ? 'same' : `other${calls}`) })
    const [one, two] = [await clumsy.writeSegment('u', 0, 1, bytesOf('1')), await clumsy.writeSegment('u', 0, 1, bytesOf('2'))]
    expect(await clumsy.readSegment(one)).toEqual(bytesOf('1'))
    expect(await clumsy.readSegment(two)).toEqual(bytesOf('2'))
    const stuck = new CheckpointStore(blobs, { newNonce: () => 'same' })
    await expect(stuck.writeSegment('u', 0, 1, bytesOf('3'))).rejects.toMatchObject({ code: 'CHECKPOINT_FAILED' })
  })

  it('does not replace a checkpoint', async () => {
    const { complete } = setup()
    await complete(1, [])
    await expect(complete(1, [])).rejects.toMatchObject({ code: 'CHECKPOINT_FAILED' })
  })

  it.each([
    ['damaged', flip],
    ['truncated', (b: Uint8Array) => b.slice(0, -1)],
    ['empty', () => new Uint8Array()],
  ])('a %s newest manifest is an error, not a reason to take an older one', async (_, change) => {
    const { store, complete, damage } = setup()
    await complete(1, [])
    await complete(2, [])
    await damage('chk-2/manifest.json', change)
    await expect(store.latest()).rejects.toThrow(/CHECKPOINT_CORRUPT(.|\n)*dir\/chk-2\/manifest\.json(.|\n)*older checkpoint/)
    expect((await store.load(1)).checkpointId).toBe(1)
  })

  it('a manifest of another checkpoint is damage; a missing checkpoint is not found', async () => {
    const { store, blobs, complete } = setup()
    await complete(1, [])
    await blobs.put('chk-2/manifest.json', (await blobs.get('chk-1/manifest.json')) as Uint8Array)
    await expect(store.load(2)).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' })
    await expect(store.load(3)).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' })
  })

  it.each([
    ['damaged', flip, /checksum/],
    ['truncated', (b: Uint8Array) => b.slice(0, -1), /6 bytes instead of 7/],
  ])('a %s segment is noticed when it is read', async (_, change, why) => {
    const { store, segment, damage } = setup()
    const ref = await segment(1)
    await damage(ref.name, change)
    await expect(store.readSegment(ref)).rejects.toThrow(why)
    await expect(store.readSegment(ref)).rejects.toThrow(/CHECKPOINT_CORRUPT(.|\n)*dir\/shared\/sum-0-1-n1\.seg(.|\n)*what to do/)
  })

  it('a missing segment is damage too', async () => {
    const { store, blobs, segment } = setup()
    const ref = await segment(1)
    await blobs.delete(ref.name)
    await expect(store.readSegment(ref)).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' })
  })

  it('lists what is there, newest last, with what is wrong', async () => {
    const { store, blobs, segment, complete, damage } = setup()
    const shared = await segment(1)
    const own = await segment(2, 'longer state')
    await complete(10, [])
    await complete(1, [shared])
    await complete(2, [shared, own])
    await complete(3, [own])
    await damage('chk-3/manifest.json', flip)
    await damage(own.name, flip)
    const found = await listCheckpoints(blobs, 'dir')
    expect(found.map((c) => [c.id, c.status, c.segments, c.bytes])).toEqual([
      [1, 'valid', 1, 7],
      [2, 'damaged', 2, 19],
      [3, 'damaged', 0, 0],
      [10, 'valid', 0, 0],
    ])
    expect(found[1].reason).toContain(`dir/${own.name}`)
    expect(found[2].reason).toContain('dir/chk-3/manifest.json')
    expect(found[1]).toMatchObject({
      kind: 'checkpoint',
      createdAtMs: 2000,
      job: 'clicks',
      path: 'dir/chk-2/manifest.json',
      operators: [{ uid: 'sum', parallelism: 1, bytes: 19 }],
    })
    expect(await new CheckpointStore(new MemoryBlobStore()).list()).toEqual([])
    await blobs.delete(shared.name)
    expect((await store.list())[0]).toMatchObject({ status: 'damaged' })
  })

  it('keeps the newest ones and drops the segments that nothing names', async () => {
    const { store, blobs, segment, complete } = setup()
    const [a, b, c, building] = [await segment(1), await segment(2), await segment(3), await segment(3, 'in use')]
    const inProgress = await segment(4)
    await complete(1, [a])
    await complete(2, [a, b])
    await complete(3, [b, c])
    await blobs.put('shared/README', bytesOf('not ours'))
    await store.retain(1, new Set([building.name]))
    expect(await store.ids()).toEqual([3])
    expect(await blobs.list('shared/')).toEqual([b.name, c.name, building.name, inProgress.name, 'shared/README'].sort())
    await store.retain(1)
    expect(await blobs.list('shared/')).toEqual([b.name, c.name, inProgress.name, 'shared/README'].sort())
    expect((await store.list()).map((s) => s.status)).toEqual(['valid'])
  })

  it('leaves what an older checkpoint in progress has written but not acknowledged', async () => {
    const { store, blobs, segment, complete } = setup()
    const savepoint = await segment(4)
    await complete(5, [])
    await store.retain(1, new Set(), 4)
    expect(await blobs.list('shared/')).toEqual([savepoint.name])
    await store.retain(1)
    expect(await blobs.list('shared/')).toEqual([])
  })

  it('a crash at any delete leaves only whole checkpoints, and the next time finishes the work', async () => {
    for (let crashAt = 0; crashAt < 8; crashAt++) {
      const { store, blobs, segment, complete } = setup()
      for (let id = 1; id <= 4; id++) await complete(id, [await segment(id), await segment(id)])
      const remove = blobs.delete.bind(blobs)
      let deletes = 0
      blobs.delete = async (name) => {
        if (deletes++ === crashAt) throw new Error('crash')
        await remove(name)
      }
      await expect(store.retain(1)).rejects.toThrow('crash')
      expect((await store.list()).map((c) => c.status)).not.toContain('damaged')
      blobs.delete = remove
      await store.retain(1)
      expect(await blobs.list('')).toHaveLength(3)
    }
  })

  it('an unreadable manifest that stays keeps all segments, and does not count as one of those kept', async () => {
    const { store, blobs, segment, complete, damage } = setup()
    for (let id = 1; id <= 3; id++) await complete(id, [await segment(id)])
    await damage('chk-3/manifest.json', flip)
    await store.retain(1)
    expect(await store.ids()).toEqual([2, 3])
    expect(await blobs.list('shared/')).toHaveLength(3)
    await complete(4, [await segment(4)])
    await store.retain(1)
    expect(await store.ids()).toEqual([4])
    expect(await blobs.list('shared/')).toHaveLength(1)
  })

  it('a savepoint stands alone in its folder', async () => {
    const { store, blobs, segment, complete } = setup()
    const ref = await segment(5)
    await complete(5, [ref])
    const target = new MemoryBlobStore()
    const savepoint = new CheckpointStore(target, { root: 'save' })
    const written = await savepoint.writeSavepoint(await store.load(5), (r) => store.readSegment(r))
    expect(written.path).toBe('save')
    for (const name of await blobs.list('')) await blobs.delete(name)
    expect(await savepoint.latest()).toMatchObject({ kind: 'savepoint', checkpointId: 5 })
    expect(await savepoint.readSegment(ref)).toEqual(bytesOf('state 5'))
    expect((await savepoint.list()).map((s) => [s.id, s.kind, s.status])).toEqual([[5, 'savepoint', 'valid']])
    await expect(savepoint.writeSavepoint(aManifest(), async () => new Uint8Array())).rejects.toThrow(/CHECKPOINT_FAILED(.|\n)*empty folder/)
  })

  it('a copy that was cut short is no savepoint, and can be made again', async () => {
    const { store, segment, complete } = setup()
    await complete(5, [await segment(5), await segment(5)])
    const savepoint = new CheckpointStore(new MemoryBlobStore())
    let reads = 0
    const failing = async (ref: SegmentRef) => {
      if (++reads === 2) throw new Error('disk')
      return store.readSegment(ref)
    }
    await expect(savepoint.writeSavepoint(await store.load(5), failing)).rejects.toThrow('disk')
    expect(await savepoint.latest()).toBeUndefined()
    await savepoint.writeSavepoint(await store.load(5), (r) => store.readSegment(r))
    expect((await savepoint.list())[0].status).toBe('valid')
  })

  it('a savepoint in a checkpoint folder stays, with its segments', async () => {
    const { store, segment, complete, damage } = setup()
    const ref = await segment(1)
    await complete(1, [ref])
    await complete(2, [ref], 'savepoint')
    expect((await store.latest())?.kind).toBe('savepoint')
    await complete(3, [])
    await store.retain(1)
    expect((await store.list()).map((s) => [s.id, s.kind, s.status])).toEqual([
      [2, 'savepoint', 'valid'],
      [3, 'checkpoint', 'valid'],
    ])
    expect((await store.latest())?.checkpointId).toBe(3)
    await damage('manifest.json', flip)
    await expect(store.latest()).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' })
    expect((await store.list()).at(-1)).toMatchObject({ id: undefined, kind: 'savepoint', status: 'damaged' })
  })

  it('trouble of the store itself is not taken for a damaged checkpoint', async () => {
    const { store, blobs, complete } = setup()
    await complete(1, [])
    blobs.get = async () => {
      throw new Error('EACCES')
    }
    await expect(store.list()).rejects.toThrow('EACCES')
    await expect(store.latest()).rejects.toThrow('EACCES')
    await expect(store.retain(1)).rejects.toThrow('EACCES')
  })
})
