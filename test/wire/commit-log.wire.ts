import { GetItemCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { awsClients, DynamoDbCommitLog } from '../../runtime/backends/aws/index.js'
import { commitLogContract } from '../backends/commit-log-contract.js'
import { FaultProxy } from './fault-proxy.js'
import { createTable, servers } from './wire.js'

const CLIENTS = 40

describe.each([
  ['DynamoDB Local', servers.dynamodb],
  ['MiniStack', servers.ministack],
])('on %s', (server, endpoint) => {
  const newClient = (url = endpoint) => awsClients({ endpoints: { dynamo: url } }).dynamo
  const dynamo = newClient()
  const open = async () => new DynamoDbCommitLog(dynamo, await createTable(dynamo))
  let proxy: FaultProxy

  beforeAll(async () => {
    proxy = await FaultProxy.open(endpoint)
  })
  afterAll(() => proxy.close())

  commitLogContract(server, open)

  describe('DynamoDbCommitLog', () => {
    it('reads a log of several pages, each consistently, and its head with one call', async () => {
      const { table } = await open()
      const log = new DynamoDbCommitLog(newClient(proxy.url), table)
      // A page ends at 1 MB.
      const payloads = Array.from({ length: 12 }, (_, i) => new Uint8Array(300_000).fill(i + 1))
      for (const [i, payload] of payloads.entries()) expect(await log.append('l', { version: i + 1, payload })).toBe('won')
      await log.putControl('l', { serial: 7, payload: Uint8Array.of(1) })
      proxy.requests.length = 0
      const { items, control } = await log.read('l', 0)
      expect(items.map(({ version }) => version)).toEqual(payloads.map((_, i) => i + 1))
      for (const [i, { payload }] of items.entries()) expect(Buffer.compare(payload, payloads[i])).toBe(0)
      expect(control?.serial).toBe(7)
      const pages = proxy.count('Query')
      expect(pages).toBeGreaterThanOrEqual(4)
      expect((await log.read('l', 11)).items).toHaveLength(1)
      expect((await log.head('l')).item?.version).toBe(12)
      expect(proxy.count('Query')).toBe(pages + 2)
      for (const { body } of proxy.requests) expect(JSON.parse(body.toString()).ConsistentRead).toBe(true)
    })

    it(`lets one of ${CLIENTS} clients win each version, and tells all others`, async () => {
      const { table } = await open()
      const logs = Array.from({ length: CLIENTS }, () => new DynamoDbCommitLog(newClient(), table))
      for (let version = 1; version <= 4; version++) {
        const outcomes = await Promise.all(logs.map((log, i) => log.append('l', { version, payload: Uint8Array.of(i) })))
        expect(outcomes.filter((outcome) => outcome === 'won')).toHaveLength(1)
        // Whoever has won is what every other then sees.
        const heads = await Promise.all(logs.map((log) => log.head('l')))
        for (const { item } of heads) expect(item).toEqual({ version, payload: Uint8Array.of(outcomes.indexOf('won')) })
      }
    })

    it('keeps the control item of the highest serial, whoever comes when', async () => {
      const { table } = await open()
      const logs = Array.from({ length: CLIENTS }, () => new DynamoDbCommitLog(newClient(), table))
      const serials = logs.map((_, i) => 1 + ((i * 7) % (CLIENTS / 2)))
      const outcomes = await Promise.all(logs.map((log, i) => log.putControl('l', { serial: serials[i], payload: Uint8Array.of(i) })))
      const winners = serials.map((serial, i) => ({ serial, i })).filter(({ i }) => outcomes[i] === 'won')
      expect(new Set(winners.map(({ serial }) => serial)).size).toBe(winners.length)
      const last = winners.find(({ serial }) => serial === CLIENTS / 2)
      expect((await logs[0].head('l')).control).toEqual({ serial: CLIENTS / 2, payload: Uint8Array.of(last?.i ?? -1) })
    })

    it('says when an item may go in the attribute of the time to live, a number of seconds', async () => {
      const log = await open()
      await log.append('l', { version: 1, payload: Uint8Array.of(1), expiresAtMs: 4_000_000_000_001 })
      const Key = { pk: { S: 'l' }, sk: { S: 'v0000000000000001' } }
      const { Item } = await dynamo.send(new GetItemCommand({ TableName: log.table, Key }))
      expect(Item?.expiresAt).toEqual({ N: '4000000001' })
    })

    it('fails, and does not lose, when an item is larger than an item may be, or the table is not there', async () => {
      const log = await open()
      await expect(log.append('l', { version: 1, payload: new Uint8Array(410 * 1024) })).rejects.toMatchObject({ code: 'AWS_CALL' })
      expect(await log.append('l', { version: 1, payload: new Uint8Array(390 * 1024) })).toBe('won')
      const absent = new DynamoDbCommitLog(dynamo, 'absent')
      await expect(absent.read('l', 0)).rejects.toMatchObject({ code: 'AWS_CALL', message: expect.stringContaining('ResourceNotFoundException') })
      await expect(absent.append('l', { version: 1, payload: new Uint8Array() })).rejects.toMatchObject({ code: 'AWS_CALL' })
    })
  })
})
