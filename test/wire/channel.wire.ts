import { describe, expect, it } from 'vitest'
import { awsClients, KinesisChannel } from '../../runtime/backends/aws/index.js'
import type { ChannelEntry } from '../../runtime/ports/index.js'
import { channelContract, type OpenChannel } from '../backends/channel-contract.js'
import { FaultProxy, type Intercept, jsonError } from './fault-proxy.js'
import { recordsOf, shardsOf } from './kinesis-shards.js'
import { createStream, servers } from './wire.js'

interface OpenStream extends OpenChannel {
  readonly stream: string
}

describe.each([
  ['kinesalite', servers.kinesis],
  ['MiniStack', servers.ministack],
])('on %s', (server, endpoint) => {
  const { kinesis } = awsClients({ endpoints: { kinesis: endpoint } })

  async function open(subtasks: number, url = endpoint): Promise<OpenStream> {
    const stream = await createStream(kinesis, subtasks)
    const received = async (subtask: number) => {
      const shard = (await shardsOf(kinesis, stream))[subtask]
      return (await recordsOf(kinesis, stream, shard.ShardId as string)).map(({ Data }) => new TextDecoder().decode(Data))
    }
    return { stream, received, channel: new KinesisChannel(awsClients({ endpoints: { kinesis: url } }).kinesis, stream, subtasks) }
  }

  channelContract(`Kinesis of ${server}`, open)

  describe('KinesisChannel', () => {
    it.each([1, 2, 3, 7, 12])('finds the shard of each of %i subtasks', async (subtasks) => {
      const { channel, received } = await open(subtasks)
      expect(await channel.send(Array.from({ length: subtasks }, (_, to) => ({ to, bytes: new TextEncoder().encode(`for ${to}`) })))).toEqual([])
      for (let to = 0; to < subtasks; to++) expect(await received(to)).toEqual([`for ${to}`])
    })

    it('sends frames as large as there are, in requests that the service takes', async () => {
      const proxy = await FaultProxy.open(endpoint)
      const { channel, received } = await open(6, proxy.url)
      // Without compression and with what keeps its key's room free.
      const letters = Array.from({ length: 12 }, (_, i) => String.fromCharCode(97 + i).repeat(1024 * 1024 - 1024))
      expect(await channel.send(letters.map((text, i) => ({ to: i % 6, bytes: new TextEncoder().encode(text) })))).toEqual([])
      for (let to = 0; to < 6; to++)
        expect((await received(to)).map((text) => text[0] + text.length)).toEqual([letters[to], letters[to + 6]].map((text) => text[0] + text.length))
      expect(proxy.count('PutRecords')).toBeGreaterThanOrEqual(3)
      await proxy.close()
    })

    it('gives back what was refused and all behind it of that shard, so that order holds', async () => {
      const proxy = await FaultProxy.open(endpoint)
      const { channel, received } = await open(4, proxy.url)
      const entries = Array.from(
        { length: 60 },
        (_, i): ChannelEntry => ({ to: (i * i) % 4 === 1 ? 1 + (i % 2) : i % 4, bytes: new TextEncoder().encode(`e${i}`) }),
      )
      let request = 0
      proxy.intercept = refusing((index) => (request * 5 + index * 3) % 4 === 0)
      let left: readonly ChannelEntry[] = entries
      let tries = 0
      for (; left.length > 0; tries++) {
        const failed = await channel.send(left)
        expect(failed.length).toBeLessThanOrEqual(left.length)
        // What is given back stands in the order in which it was given.
        for (let to = 0; to < 4; to++) {
          const before = left.filter((entry) => entry.to === to)
          const after = failed.filter((entry) => entry.to === to)
          expect(after).toEqual(before.slice(before.length - after.length))
        }
        left = failed
        request++
      }
      expect(tries).toBeGreaterThan(1)
      for (let to = 0; to < 4; to++) {
        expect(await received(to)).toEqual(entries.filter((entry) => entry.to === to).map(({ bytes }) => new TextDecoder().decode(bytes)))
      }
      await proxy.close()

      function refusing(refuses: (index: number) => boolean): Intercept {
        return async (sent, forward) => {
          if (sent.operation !== 'PutRecords') return forward(sent)
          const input = JSON.parse(sent.body.toString())
          const refused: boolean[] = input.Records.map((_: unknown, index: number) => refuses(index))
          const Records = input.Records.filter((_: unknown, index: number) => !refused[index])
          const answer =
            Records.length === 0
              ? { status: 200, headers: {}, body: Buffer.from('{"Records":[]}') }
              : await forward({ ...sent, body: Buffer.from(JSON.stringify({ ...input, Records })) })
          const taken = JSON.parse(answer.body.toString()).Records
          const error = { ErrorCode: 'ProvisionedThroughputExceededException', ErrorMessage: 'Rate exceeded for shard' }
          const all = refused.map((is) => (is ? error : taken.shift()))
          request++
          return {
            ...answer,
            headers: { ...answer.headers, 'content-type': 'application/x-amz-json-1.1' },
            body: Buffer.from(JSON.stringify({ FailedRecordCount: refused.filter(Boolean).length, Records: all })),
          }
        }
      }
    })

    it('sends again what was throttled whole, and again, doubled, what was taken without an answer', async () => {
      const proxy = await FaultProxy.open(endpoint)
      const { channel, received } = await open(1, proxy.url)
      const entry = (text: string): ChannelEntry => ({ to: 0, bytes: new TextEncoder().encode(text) })
      proxy.intercept = async (sent, forward) => {
        if (proxy.requests.length === 1) return jsonError(400, 'ProvisionedThroughputExceededException')
        const answer = await forward(sent)
        return proxy.requests.length === 3 ? 'cut' : answer
      }
      for (const text of ['a', 'b', 'c']) expect(await channel.send([entry(text)])).toEqual([])
      expect(await received(0)).toEqual(['a', 'b', 'b', 'c'])
      await proxy.close()
    })

    it('fails when the stream is not there', async () => {
      const channel = new KinesisChannel(kinesis, 'absent', 1)
      await expect(channel.send([{ to: 0, bytes: Uint8Array.of(1) }])).rejects.toMatchObject({
        code: 'AWS_CALL',
        message: expect.stringContaining('ResourceNotFoundException'),
      })
    })
  })
})
