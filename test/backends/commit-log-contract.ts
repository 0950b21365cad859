import { describe, expect, it } from 'vitest'
import type { CommitLog, LogItem } from '../../runtime/ports/index.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (payload: Uint8Array | undefined) => (payload === undefined ? undefined : new TextDecoder().decode(payload))
const item = (version: number, payload = `v${version}`): LogItem => ({ version, payload: bytes(payload) })

async function versions(log: CommitLog, name: string, after: number): Promise<string[]> {
  return (await log.read(name, after)).items.map(({ version, payload }) => `${version}:${text(payload)}`)
}

/** What every CommitLog does. `open` gives an empty one. */
export function commitLogContract(name: string, open: () => Promise<CommitLog>): void {
  describe(`CommitLog: ${name}`, () => {
    it('has nothing in a log that was never written to', async () => {
      const log = await open()
      expect(await log.read('a', 0)).toEqual({ items: [], control: undefined })
      expect(await log.head('a')).toEqual({ item: undefined, control: undefined })
    })

    it('lets one writer win a version, and keeps its bytes', async () => {
      const log = await open()
      expect(await log.append('a', item(1, 'first'))).toBe('won')
      expect(await log.append('a', item(1, 'second'))).toBe('lost')
      const answers = await Promise.all(['x', 'y', 'z'].map((payload) => log.append('a', item(2, payload))))
      expect([...answers].sort()).toEqual(['lost', 'lost', 'won'])
      expect(await versions(log, 'a', 0)).toEqual(['1:first', `2:${'xyz'[answers.indexOf('won')]}`])
    })

    it('reads what is behind a version, in order, however long the log', async () => {
      const log = await open()
      for (let version = 1; version <= 25; version++) await log.append('a', item(version))
      expect(await versions(log, 'a', 0)).toEqual(Array.from({ length: 25 }, (_, i) => `${i + 1}:v${i + 1}`))
      expect(await versions(log, 'a', 8)).toEqual(Array.from({ length: 17 }, (_, i) => `${i + 9}:v${i + 9}`))
      expect(await versions(log, 'a', 24)).toEqual(['25:v25'])
      expect(await versions(log, 'a', 25)).toEqual([])
      expect(await versions(log, 'a', 99)).toEqual([])
      expect((await log.head('a')).item).toMatchObject({ version: 25 })
    })

    it('orders versions as numbers, with gaps, in whatever order they came', async () => {
      const log = await open()
      for (const version of [100, 9, 1_000_000_007, 10, 2]) await log.append('a', item(version))
      expect(await versions(log, 'a', 0)).toEqual(['2:v2', '9:v9', '10:v10', '100:v100', '1000000007:v1000000007'])
      expect(await versions(log, 'a', 9)).toEqual(['10:v10', '100:v100', '1000000007:v1000000007'])
      expect(await versions(log, 'a', 50)).toEqual(['100:v100', '1000000007:v1000000007'])
      expect((await log.head('a')).item?.version).toBe(1_000_000_007)
    })

    it('keeps logs apart, also when the name of one begins with that of another', async () => {
      const log = await open()
      await log.append('job/1/s/1', item(1, 'one'))
      await log.append('job/1/s/10', item(7, 'ten'))
      await log.putControl('job/1/s/10', { serial: 3, payload: bytes('c') })
      expect(await versions(log, 'job/1/s/1', 0)).toEqual(['1:one'])
      expect((await log.read('job/1/s/1', 0)).control).toBeUndefined()
      expect((await log.head('job/1/s/1')).item?.version).toBe(1)
    })

    it('reads the control item with the items and with the head, and with neither', async () => {
      const log = await open()
      expect(await log.putControl('a', { serial: 5, payload: bytes('five') })).toBe('won')
      for (const read of [await log.read('a', 0), await log.head('a')]) {
        expect(read.control?.serial).toBe(5)
        expect(text(read.control?.payload)).toBe('five')
      }
      expect((await log.head('a')).item).toBeUndefined()
      expect((await log.read('a', 0)).items).toEqual([])
      for (let version = 1; version <= 7; version++) await log.append('a', item(version))
      for (const after of [0, 3, 6, 7, 100]) {
        const { items, control } = await log.read('a', after)
        expect([items.length, control?.serial]).toEqual([Math.max(0, 7 - after), 5])
      }
      const head = await log.head('a')
      expect([head.item?.version, head.control?.serial]).toEqual([7, 5])
    })

    it('replaces the control item by one of a higher serial only', async () => {
      const log = await open()
      const put = (serial: number, payload: string) => log.putControl('a', { serial, payload: bytes(payload) })
      expect(await put(9, 'nine')).toBe('won')
      expect(await put(9, 'again')).toBe('lost')
      expect(await put(8, 'eight')).toBe('lost')
      expect(await put(10, 'ten')).toBe('won')
      const racing = await Promise.all([put(11, 'x'), put(11, 'y')])
      expect([...racing].sort()).toEqual(['lost', 'won'])
      const { control } = await log.head('a')
      expect([control?.serial, text(control?.payload)]).toEqual([11, 'xy'[racing.indexOf('won')]])
    })

    it('takes a control item of serial 0, and items beside it', async () => {
      const log = await open()
      expect(await log.putControl('a', { serial: 0, payload: new Uint8Array() })).toBe('won')
      expect(await log.putControl('a', { serial: 0, payload: new Uint8Array() })).toBe('lost')
      expect(await log.append('a', { version: 1, payload: new Uint8Array() })).toBe('won')
      const { items, control } = await log.read('a', 0)
      expect([items[0].payload.length, control?.serial, control?.payload.length]).toEqual([0, 0, 0])
    })

    it('keeps its bytes when the caller changes theirs', async () => {
      const log = await open()
      const payload = bytes('abc')
      await log.append('a', { version: 1, payload })
      await log.putControl('a', { serial: 1, payload })
      payload.fill(0)
      const { items, control } = await log.read('a', 0)
      expect([text(items[0].payload), text(control?.payload)]).toEqual(['abc', 'abc'])
    })

    it('tells when an item may be dropped, at the earliest at that time', async () => {
      const log = await open()
      await log.append('a', { ...item(1), expiresAtMs: 4_000_000_000_123 })
      await log.append('a', item(2))
      const { items } = await log.read('a', 0)
      expect(items.map(({ version }) => version)).toEqual([1, 2])
      // A store may keep it in seconds, and need not say it at all.
      for (const { expiresAtMs } of items.slice(0, 1)) {
        expect(expiresAtMs ?? 4_000_000_000_123).toBeGreaterThanOrEqual(4_000_000_000_123)
        expect(expiresAtMs ?? 4_000_000_000_123).toBeLessThan(4_000_000_001_123)
      }
      expect(items[1].expiresAtMs).toBeUndefined()
    })
  })
}
