import type { Successor } from '../ports/index.js'
import type { OutputState } from './commit-record.js'
import type { OutgoingFrame } from './outbox.js'
import type { StageEvent } from './stage-ports.js'
import { channelOf, type StageWriter } from './stage-writers.js'

type Sender = StageWriter['senders'][number]

/** What a subtask has for other stages: frames, barriers, first and last words, over all its outgoing channels. */
export class StageOutput {
  constructor(
    readonly writers: readonly StageWriter[],
    readonly count: (event: StageEvent, times?: number) => void,
  ) {}

  /** To all other stages, since it was opened. */
  get records(): number {
    return this.writers.reduce((sum, { writer }) => sum + writer.records, 0)
  }

  /** Everything since the last call, at the epoch it was made in; with an interval, watermarks alone only so often. `now` is epoch ms. */
  takeFrames(epoch: number, now: number, watermarkIntervalMs: number): OutgoingFrame[] {
    const pace = watermarkIntervalMs > 0 ? { now, intervalMs: watermarkIntervalMs } : undefined
    return this.writers.flatMap(({ edge, writer, senders }) => {
      writer.flush()
      return senders.flatMap((sender) => {
        const frames = sender.close(epoch, pace)
        if (frames.length > 1) this.count('frame-divided', frames.length - 1)
        return frames.map((bytes) => ({ stage: edge.to, to: sender.address.to, bytes }))
      })
    })
  }

  /** The barriers of the epoch. */
  barriers(epoch: number, stop: boolean): OutgoingFrame[] {
    return this.#toAll((sender) => sender.barrier(epoch, stop))
  }

  /** The first frames of a split that begins at the barrier of its epoch. */
  helloFrames(epoch: number, stop: boolean): OutgoingFrame[] {
    return this.#toAll((sender) => sender.hello(epoch, stop))
  }

  /** The ends of all channels, behind everything gathered. */
  ends(epoch: number, successors: readonly Successor[]): OutgoingFrame[] {
    for (const { writer } of this.writers) writer.flush()
    return this.#toAll((sender) => sender.end(epoch, successors))
  }

  #toAll(framesOf: (sender: Sender) => Uint8Array[]): OutgoingFrame[] {
    return this.writers.flatMap(({ edge, senders }) =>
      senders.flatMap((sender) => framesOf(sender).map((bytes) => ({ stage: edge.to, to: sender.address.to, bytes }))),
    )
  }

  /** When a watermark that waits is due; Infinity: none waits. */
  nextDue(now: number, watermarkIntervalMs: number): number {
    let next = Number.POSITIVE_INFINITY
    for (const { senders } of this.writers) {
      for (const sender of senders) {
        const until = sender.heldUntil({ now, intervalMs: watermarkIntervalMs })
        if (until === Number.NEGATIVE_INFINITY) continue
        this.count('watermark-held-back')
        next = Math.min(next, until)
      }
    }
    return next
  }

  /** The operators were opened again and said once more where they stand. */
  forgetTold(): void {
    for (const { writer, senders } of this.writers) {
      writer.flush()
      for (const sender of senders) sender.forgetTold()
    }
  }

  /** What the commit record says of them. */
  get states(): Readonly<Record<string, OutputState>> {
    return Object.fromEntries(this.writers.flatMap(({ senders }) => senders.map((sender) => [channelOf(sender.address), sender.state])))
  }
}
