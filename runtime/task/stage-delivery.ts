import { assert } from '../core/index.js'
import { type CommitRecord, loadPart, type Part, type PartPlace, partPlace, storePart } from './commit-record.js'
import type { StagePlace } from './open-stage.js'
import { decodeOutbox, deliver, type Outbox } from './outbox.js'
import { type AckHead, endedPlace, storeAck } from './stage-acks.js'
import type { Memory } from './stage-memory.js'
import { acksLogName, endedLogName, innerOrdinal, splitOrdinal } from './stage-names.js'
import type { Work } from './stage-subtask.js'

/** Whether it is a batch of which nothing has been taken yet. */
function isBehind({ position }: CommitRecord, work: Work): boolean {
  return work.kind === 'batch' && position !== null && work.records[0].position > BigInt(position)
}

/**
 * Whether the same call may have committed the head and then failed. Only then is its wake-up asked for again: pokes would multiply if whoever
 * meets another's commit did so, since each of them is one who meets commits.
 */
function mayHaveFailedBefore(head: CommitRecord, work: Work): boolean {
  return work.kind === 'poke' ? work.again === true : !isBehind(head, work)
}

/** Sends what commits of one subtask have put into their outboxes. */
export class StageDelivery {
  constructor(
    readonly place: StagePlace,
    readonly log: string,
  ) {}

  /**
   * The head's outbox has arrived if this instance sent it, or if a batch from behind the head's is here: the one before was then
   * acknowledged by whoever committed the head.
   */
  async ensureSent(memory: Memory, work: Work): Promise<void> {
    const { head, version } = memory
    const { ports } = this.place
    if (memory.sent || head.outbox === null) return
    if (head.kind === 'BATCH' && isBehind(head, work)) {
      ports.count('outbox-known-sent')
      memory.sent = true
      return
    }
    ports.count('outbox-sent-again')
    const outbox = decodeOutbox(await loadPart(ports.parts, this.log, version, head.outbox))
    await this.send(memory, mayHaveFailedBefore(head, work) ? outbox : { ...outbox, wakeAt: null })
  }

  async send(memory: Memory, outbox: Outbox): Promise<void> {
    const { stage, subtask, ports } = this.place
    const { live, version } = memory
    await deliver(outbox, {
      channel: (receiver) => ports.channel(receiver),
      sink: async (entry) => {
        const sink = live.sinks.get(entry.uid)
        assert(sink !== undefined, 'an outbox holds batches for the sinks of its stage')
        await sink.write(entry)
      },
      deadLetter: (index, letter) => ports.deadLetters.write(`${this.log}/${version}/${index}`, letter),
      wakeUp: (atMs) => ports.pokes.poke({ stage, subtask }, atMs),
      acknowledge: (ack) => this.#acknowledge(memory, ack),
      pause: (ms) => ports.pause(ms),
      random: () => ports.random(),
    })
    memory.sent = true
  }

  async #acknowledge(memory: Memory, ack: AckHead): Promise<void> {
    const { live, head } = memory
    const { deployment, ports, settings } = this.place
    const { graph } = live.options.job
    const version = live.source === undefined ? innerOrdinal(graph, ack.stage, ack.index) : splitOrdinal(graph, ack.index)
    const name = ack.ended ? endedLogName(deployment, head.attempt) : acksLogName(deployment, head.attempt, ack.checkpointId)
    const expiresAtMs = ack.ended ? undefined : ports.clock.now() + settings.logRetentionMs
    // `lost` says that it has been acknowledged before.
    const { inlineBytes } = settings
    const place = ack.ended ? endedPlace(ports, head.attempt, version, inlineBytes) : partPlace(ports, name, version, inlineBytes)
    const state = ack.ended ? await this.#copied(place, memory) : head.base.state
    await ports.log.append(name, { version, payload: await storeAck(place, ack, state), expiresAtMs })
  }

  /** An end's state stays longer than the log's parts. */
  async #copied(place: PartPlace, { head: { base } }: Memory): Promise<Part | null> {
    if (base.state === null) return null
    return storePart(place, await loadPart(this.place.ports.parts, this.log, base.version, base.state))
  }
}
