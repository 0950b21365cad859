import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { MillraceError } from '../core/index.js'
import type { PeerMessage, PostToPeer } from './channel.js'
import { blobStoresOn } from './checkpoint-folder.js'
import { importJob } from './import-job.js'
import type { FromThread, ToThread } from './messages.js'
import { SlotThread } from './slot-thread.js'
import { systemClock } from './system-clock.js'
import { nonce, type WorkerInput } from './thread-handle.js'
import { ThreadSignal } from './thread-signal.js'

/** Entry of a worker thread: imports the job module and runs this thread's slots. */
const { jobUrl, deployment, peers, signals } = workerData as WorkerInput
const signal = new ThreadSignal(signals, deployment.thread)
const coordinator = parentPort as MessagePort
const send = (message: FromThread) => coordinator.postMessage(message)
const arrived: PeerMessage[] = []
const early: ToThread[] = []
let thread: SlotThread | undefined

for (const peer of peers) {
  peer?.on('message', (message: PeerMessage) => {
    arrived.push(message)
    thread?.wake()
  })
}
coordinator.on('message', (message: ToThread) => {
  if (thread === undefined) early.push(message)
  else thread.handle(message)
})

function postToPeer(index: number): PostToPeer {
  const port = peers[index] as MessagePort
  return (message, transfer) => {
    port.postMessage(message, transfer as ArrayBuffer[])
    signal.ring(index)
  }
}

function pollPeers(deliver: (message: PeerMessage) => void): void {
  signal.look()
  if (arrived.length > 0) for (const message of arrived.splice(0)) deliver(message)
  for (const peer of peers) {
    if (peer === undefined) continue
    for (let received = receiveMessageOnPort(peer); received !== undefined; received = receiveMessageOnPort(peer)) deliver(received.message)
  }
}

try {
  const job = await importJob(jobUrl)
  thread = new SlotThread(job, deployment, {
    clock: systemClock,
    random: Math.random,
    nonce,
    openStore: blobStoresOn(),
    send,
    postToPeer,
    pollPeers,
    sleep: (ms) => signal.sleep(ms),
    yieldToIo: () => new Promise((resolve) => setImmediate(resolve)),
  })
  for (const message of early) thread.handle(message)
  await thread.start()
} catch (error) {
  send({
    kind: 'failed',
    error: MillraceError.from(error, 'JOB_NOT_FOUND', { what: 'the job module could not be started in a worker thread', where: jobUrl }).toPlain(),
  })
  // With its ports closed the worker ends.
  for (const peer of peers) peer?.close()
  coordinator.close()
}
