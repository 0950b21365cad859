import type { Pokes, PokeTarget } from '../../ports/index.js'
import { awsCall } from './aws-call.js'

/** The longest delay of a message, seconds. */
const LONGEST_DELAY = 900

/** The body of a message, as JSON. */
export interface PokeMessage {
  readonly poke: PokeTarget & { readonly atMs: number }
}

export interface SqsPokesOptions {
  /** Sends a message (SendMessage of SQS) to the queue of the target's stage, which takes `delaySeconds` (0 to 900) to arrive. */
  readonly send: (stage: string, body: string, delaySeconds: number) => Promise<unknown>
  /** Epoch ms. */
  readonly now: () => number
}

/** Pokes as delayed messages. Whoever gets one asks {@link SqsPokes.arrived} whether it is for now. */
export class SqsPokes implements Pokes {
  readonly #send: SqsPokesOptions['send']
  readonly #now: SqsPokesOptions['now']

  constructor({ send, now }: SqsPokesOptions) {
    this.#send = send
    this.#now = now
  }

  async poke(target: PokeTarget, atMs: number): Promise<void> {
    const { stage, subtask } = target
    const seconds = Math.max(0, Math.ceil((atMs - this.#now()) / 1_000))
    const message: PokeMessage = { poke: { stage, subtask, atMs } }
    await awsCall('SendMessage', `stage ${stage}`, () => this.#send(stage, JSON.stringify(message), Math.min(seconds, LONGEST_DELAY)))
  }

  /** Whom a message pokes now; undefined for one that was on a hop, which is sent on. */
  async arrived({ poke: { stage, subtask, atMs } }: PokeMessage): Promise<PokeTarget | undefined> {
    const target = { stage, subtask }
    if (atMs <= this.#now()) return target
    await this.poke(target, atMs)
    return undefined
  }
}
