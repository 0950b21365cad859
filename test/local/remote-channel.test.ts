import { describe, expect, test } from 'vitest'
import { encodeBatch, RecordBatch } from '../../runtime/exchange/index.js'
import { type PeerMessage, RemoteChannelReceiver, RemoteChannelSender } from '../../runtime/local/channel.js'

const OPERATOR = { uid: 'map', name: 'Map' }

/** A sender and a receiver; messages wait until they are delivered. */
function channel() {
  const forth: PeerMessage[] = []
  const back: PeerMessage[] = []
  const sender = new RemoteChannelSender('0:0:1', (message) => forth.push(structuredClone(message)), OPERATOR)
  const receiver = new RemoteChannelReceiver('0:0:1', (message) => back.push(structuredClone(message)))
  return {
    sender,
    receiver,
    back,
    deliver() {
      for (const message of forth.splice(0)) receiver.receive(message)
      for (const message of back.splice(0)) if ('taken' in message) sender.taken(message.taken)
    },
  }
}

const batch = (n: number) => RecordBatch.of([{ n }], [n])

describe('a channel between threads', () => {
  test('holds the sender back at eight batches, and lets it go on before all are taken', () => {
    const { sender, receiver, deliver } = channel()
    let sent = 0
    for (; sender.writable; sent++) sender.send(batch(sent))
    expect(sent).toBe(8)
    deliver()
    expect(sender.writable).toBe(false)
    let taken = 0
    while (!sender.writable) {
      expect(receiver.take()).toEqual(batch(taken++))
      deliver()
    }
    expect(taken).toBeLessThan(8)
  })

  test('never stays held back while all that was sent is taken', () => {
    const { sender, receiver, deliver } = channel()
    let next = 0
    for (let round = 1; round <= 40; round++) {
      for (let i = 0; i < round % 9 && sender.writable; i++) sender.send(batch(next++))
      deliver()
      while (receiver.take() !== undefined);
      deliver()
      expect(sender.writable, `round ${round}`).toBe(true)
    }
  })

  test('says of every fourth batch that it and those before it were taken, and nothing of control elements', () => {
    const { sender, receiver, back } = channel()
    for (let n = 0; n < 16; n++) {
      receiver.receive({ channel: '0:0:1', element: { kind: 'watermark', watermark: n } })
      receiver.receive({ channel: '0:0:1', batch: encodeBatch(batch(n)) })
    }
    const saidAfter: number[] = []
    for (let taken = 0; taken < 32; taken++) {
      receiver.take()
      saidAfter.push(back.length)
    }
    expect(saidAfter).toEqual(Array.from({ length: 32 }, (_, i) => Math.floor((i + 1) / 8)))
    expect(back).toEqual(Array.from({ length: 4 }, () => ({ channel: '0:0:1', taken: 4 })))
    expect(sender.writable).toBe(true)
  })
})
