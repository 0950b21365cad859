import { beforeAll, describe, expect, it } from 'vitest'
import { type SendMessage, sqsSender } from '../../functions/sqs-sender.js'
import { type PokeMessage, SqsPokes } from '../../runtime/backends/aws/index.js'
import { type OpenPokes, pokesContract } from '../backends/pokes-contract.js'
import { createQueue, delayedMessages, receive, remove } from './sqs.js'
import { servers } from './wire.js'

const MINUTE = 60_000
let send: SendMessage

beforeAll(() => {
  process.env.AWS_ENDPOINT_URL_SQS = servers.ministack
  send = sqsSender()
})

/** Bodies go through the queue; the delay is kept beside it, where it passes as fast as the contract's clock. */
async function open(start: number): Promise<OpenPokes> {
  const queue = await createQueue(300)
  let now = start
  let waiting: { readonly body: string; readonly at: number }[] = []
  const pokes = new SqsPokes({
    now: () => now,
    send: async (_stage, body, delaySeconds) => {
      expect(delaySeconds).toBe(Math.min(900, Math.max(0, Math.floor(delaySeconds))))
      await send(queue, JSON.stringify({ body, at: now + delaySeconds * 1_000 }), 0)
    },
  })
  const until = async (end: number) => {
    const poked: string[] = []
    for (;;) {
      for (let messages = await receive(queue); messages.length > 0; messages = await receive(queue)) {
        for (const message of messages) {
          waiting.push(JSON.parse(message.Body))
          await remove(queue, message)
        }
      }
      const next = waiting.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      waiting = waiting.filter((message) => message !== next)
      now = next.at
      const target = await pokes.arrived(JSON.parse(next.body))
      if (target !== undefined) poked.push(`${target.stage}/${target.subtask}`)
    }
    now = end
    return poked
  }
  return { pokes, until }
}

pokesContract('SQS of MiniStack', open)

describe('SqsPokes', () => {
  it('delays a message, as long as SQS can, until it is time', async () => {
    const queue = await createQueue()
    const pokes = new SqsPokes({ now: () => Date.now(), send: (_stage, body, delaySeconds) => send(queue, body, delaySeconds) })
    // The first one takes longer: it opens the connection.
    await pokes.poke({ stage: 'sum', subtask: '0' }, 0)
    await pokes.poke({ stage: 'sum', subtask: '2' }, Date.now() + 200 * MINUTE)
    const atMs = Date.now() + 4_000
    await pokes.poke({ stage: 'sum', subtask: '1' }, atMs)
    expect(await delayedMessages(queue)).toBe(2)
    const arrived: PokeMessage[] = []
    while (arrived.length < 2) {
      for (const message of await receive(queue, 10)) {
        arrived.push(JSON.parse(message.Body))
        await remove(queue, message)
      }
    }
    expect(arrived.map(({ poke }) => poke.subtask)).toEqual(['0', '1'])
    expect(Date.now()).toBeGreaterThanOrEqual(atMs)
    expect(await pokes.arrived(arrived[1])).toEqual({ stage: 'sum', subtask: '1' })
    expect(await delayedMessages(queue)).toBe(1)
  })

  it('says AWS_CALL for a queue that is not there', async () => {
    const pokes = new SqsPokes({ now: () => 0, send: (_stage, body) => send(`${servers.ministack}/000000000000/absent`, body, 0) })
    const refused = expect(pokes.poke({ stage: 's', subtask: '0' }, 0)).rejects
    await refused.toMatchObject({ code: 'AWS_CALL', message: expect.stringContaining('QueueDoesNotExist') })
  })
})
