import { MAX_WATERMARK, MIN_WATERMARK, MillraceError } from '../core/index.js'
import { decodeFrame, type Frame } from '../exchange/frame.js'
import type { RecordBatch } from '../exchange/index.js'
import type { JobGraph, VertexPlan } from '../plan/index.js'
import type { Compression, Successor } from '../ports/index.js'
import { combineProgress } from './input-progress.js'
import type { WatermarkProgress } from './rising-output.js'
import type { StageEvent } from './stage-ports.js'

/** What the log knows of an input channel. */
export interface ChannelState extends WatermarkProgress {
  /** seq of the frame to consume next. */
  readonly next: number
  /** Elements of that frame that have been consumed; absent: none. */
  readonly at?: number
  /**
   * Null while the channel lives. Once it has ended, the successors that have not begun (others of their parents have not ended): the channel's
   * watermark holds until they have. Empty: ended for good, and known so that late copies of its frames are told.
   */
  readonly successors: readonly Successor[] | null
}

export interface InputListener {
  processBatch(batch: RecordBatch, input: number, origin: FrameOrigin): void
  /** False while asynchronous calls hold back the input. */
  readonly ready: boolean
  /** False when state that the batch needs is to be loaded first. */
  admits(batch: RecordBatch, input: number): boolean
  processProgress(input: number, before: WatermarkProgress, now: WatermarkProgress): void
  /** Timers are left to fire: nothing else is consumed until `resumeSweep` has come to their end. */
  readonly sweepPending: boolean
  resumeSweep(): void
  /** Something in the frame has failed: what lies before it is committed first, so that each try comes further. */
  isSuspect(channel: string, seq: number): boolean
  endOfInput(input: number): void
  count(event: StageEvent): void
}

/** Where a batch of records stood, for errors and dead letters. */
export interface FrameOrigin {
  readonly channel: string
  readonly seq: number
  readonly element: number
}

interface Waiting {
  readonly frame: Frame
  readonly bytes: Uint8Array
}

interface Channel {
  readonly name: string
  readonly edge: number
  readonly input: number
  /** Expected since a RESET or since its parents ended. Frames of others wait. */
  known: boolean
  next: number
  at: number
  watermark: number
  idle: boolean
  successors: readonly Successor[] | null
  /** Frames that came early, and those behind a barrier that other channels have not reached, by seq. */
  readonly stash: Map<number, Waiting>
}

export interface KnownInputs {
  readonly epoch: number
  readonly attempt: number
  readonly channels: Readonly<Record<string, ChannelState>>
  readonly inputs: readonly WatermarkProgress[]
}

export interface InputPlace {
  readonly graph: JobGraph
  readonly vertex: VertexPlan
  readonly index: number
  readonly compression: Compression | undefined
}

/** How far a commit may go on consuming. */
export interface Budget {
  readonly spent: boolean
  spend(records: number, bytes: number): void
}

export type Drained =
  /** Nothing more can be consumed now. `cut`: every channel has reached the barrier of this checkpoint. */
  | { readonly kind: 'drained'; readonly cut: { readonly epoch: number; readonly stop: boolean } | undefined }
  /** There is more; it belongs to the next commit. */
  | { readonly kind: 'interrupted' }

/**
 * The channels from other stages into one subtask.
 *
 * I1  A channel's frames are consumed in the order of their seq, each once, whatever order they come in and how often.
 * I2  A frame of a later epoch is consumed only after the cut at that epoch, and the cut comes when every channel's next frame is of a later
 *     epoch: the state at the cut holds exactly what was sent before the barrier. Only an aborted checkpoint's barrier is no barrier.
 * I3  The watermark of an input is the least of the channels that are active and have caught up with it (Flink's valve); it never goes back.
 * I4  A channel that ends gives its place to its successors: a successor begins when all its parents have ended, at the least of their
 *     watermarks, and until then these hold.
 */
export class InputChannels {
  epoch: number
  /** Frames consumed since the last commit. */
  consumed = 0
  /** Frames taken in since the last commit. */
  accepted = 0
  readonly #attempt: number
  readonly #progress: WatermarkProgress[]
  readonly #ended: boolean[]
  readonly #channels = new Map<string, Channel>()
  #stashBytes = 0
  /** Frames taken in since the last `takeStashed`. */
  #arrived: { readonly channel: Channel; readonly seq: number; readonly bytes: Uint8Array }[] = []

  constructor(
    readonly place: InputPlace,
    known: KnownInputs,
    readonly listener: InputListener,
  ) {
    this.epoch = known.epoch
    this.#attempt = known.attempt
    this.#progress = [...known.inputs]
    for (const [name, state] of Object.entries(known.channels)) {
      const { edge, input } = this.#edgeOf(Number(name.slice(0, name.indexOf(':'))))
      this.#channels.set(name, { ...state, at: state.at ?? 0, name, edge, input, known: true, stash: new Map() })
    }
    this.#ended = this.#progress.map((_, input) => this.#liveOf(input).length === 0)
  }

  #edgeOf(index: number): { readonly edge: number; readonly input: number } {
    const edge = this.place.graph.edges.find((e) => e.index === index && e.to === this.place.vertex.id)
    if (edge === undefined) throw misrouted(`edge ${index}`, this.place)
    return { edge: index, input: edge.input }
  }

  /** Of each input as a whole. */
  get progress(): readonly WatermarkProgress[] {
    return this.#progress
  }

  get states(): Record<string, ChannelState> {
    const states: Record<string, ChannelState> = {}
    for (const { name, known, next, at, watermark, idle, successors } of this.#channels.values()) {
      if (known) states[name] = { next, ...(at > 0 ? { at } : {}), watermark, idle, successors }
    }
    return states
  }

  /** All inputs have been processed to their ends. */
  get allEnded(): boolean {
    return this.#ended.every((ended) => ended) && !this.listener.sweepPending
  }

  get stashBytes(): number {
    return this.#stashBytes
  }

  // --- taking in ---------------------------------------------------------------------------------------------------------

  /** Takes a frame in; false when it has been seen before. Throws FRAME_CORRUPT, BATCH_REFUSED (a frame of a later attempt). */
  accept(bytes: Uint8Array, where: string): boolean {
    const frame = decodeFrame(bytes, where, this.place.compression)
    if (frame.to !== this.place.index) throw misrouted(`a frame of edge ${frame.edge} from ${frame.from} to ${frame.to}`, this.place, where)
    if (frame.attempt < this.#attempt) {
      this.listener.count('frame-of-older-attempt')
      return false
    }
    if (frame.attempt > this.#attempt) {
      this.listener.count('frame-of-newer-attempt')
      throw laterAttempt(frame, this.#attempt, where)
    }
    const channel = this.#channels.get(inputName(frame.edge, frame.from)) ?? this.#stranger(frame)
    if (frame.seq < channel.next || channel.stash.has(frame.seq)) {
      this.listener.count('frame-seen-before')
      return false
    }
    const kept = bytes.slice()
    channel.stash.set(frame.seq, { frame, bytes: kept })
    this.#stashBytes += kept.length
    this.#arrived.push({ channel, seq: frame.seq, bytes: kept })
    this.accepted++
    return true
  }

  /** Its parents' ends have not come yet: what it says waits. */
  #stranger({ edge, from }: Frame): Channel {
    this.listener.count('frame-of-stranger')
    return this.#create(inputName(edge, from), edge, false)
  }

  #create(name: string, edge: number, known: boolean): Channel {
    const { input } = this.#edgeOf(edge)
    const stash = new Map<number, Waiting>()
    const channel: Channel = { name, edge, input, known, next: 1, at: 0, watermark: MIN_WATERMARK, idle: false, successors: null, stash }
    this.#channels.set(name, channel)
    return channel
  }

  // --- consuming ---------------------------------------------------------------------------------------------------------

  /** Consumes what can be, as far as the budget goes. `aborted` is the last checkpoint that was given up. */
  drain(aborted: number, budget: Budget): Drained {
    if (this.listener.sweepPending) this.listener.resumeSweep()
    if (this.listener.sweepPending) return { kind: 'interrupted' }
    const reach = Math.max(this.epoch, aborted)
    for (let progressed = true; progressed; ) {
      progressed = false
      for (const channel of this.#channels.values()) {
        if (!channel.known) continue
        for (
          let front = channel.stash.get(channel.next);
          front !== undefined && front.frame.epoch <= reach;
          front = channel.stash.get(channel.next)
        ) {
          if (budget.spent || (this.consumed > 0 && this.listener.isSuspect(channel.name, channel.next))) return { kind: 'interrupted' }
          progressed = true
          if (front.frame.epoch > this.epoch) this.listener.count('aborted-epoch-consumed')
          if (!this.#consume(channel, front, budget)) return { kind: 'interrupted' }
        }
      }
    }
    return { kind: 'drained', cut: this.#aligned() }
  }

  /**
   * The subtask has cut at `epoch`. Frames that say nothing but that have done what they came for: were they to wait, it would take another commit to
   * take them in.
   */
  enter(epoch: number): void {
    this.epoch = epoch
    for (const channel of this.#channels.values()) {
      const front = channel.known ? channel.stash.get(channel.next) : undefined
      if (front?.frame.epoch === epoch && isBare(front.frame, channel)) this.#passed(channel, front)
    }
  }

  #aligned(): { readonly epoch: number; readonly stop: boolean } | undefined {
    let least = Number.POSITIVE_INFINITY
    let stop = false
    for (const channel of this.#channels.values()) {
      if (!channel.known || channel.successors !== null) continue
      const waiting = channel.stash.get(channel.next)
      if (waiting === undefined) return undefined
      const { epoch } = waiting.frame
      if (epoch < least) {
        least = epoch
        stop = waiting.frame.stop
      } else if (epoch === least && waiting.frame.stop) stop = true
    }
    return least === Number.POSITIVE_INFINITY ? undefined : { epoch: least, stop }
  }

  /** False when timers are left to fire; where it stopped is noted. */
  #consume(channel: Channel, { frame, bytes }: Waiting, budget: Budget): boolean {
    const { elements } = frame
    while (channel.at < elements.length) {
      if (!this.listener.ready) return false
      const at = channel.at
      const element = elements[at]
      if (!('kind' in element) && !this.listener.admits(element, channel.input)) return false
      channel.at++
      if (!('kind' in element)) {
        this.listener.processBatch(element, channel.input, { channel: channel.name, seq: frame.seq, element: at })
        budget.spend(element.size, 0)
      } else if (element.kind === 'watermark') {
        if (!this.#advance(channel, element.watermark, channel.idle)) return false
      } else if (!this.#advance(channel, channel.watermark, element.idle)) return false
    }
    this.#passed(channel, { frame, bytes })
    budget.spend(0, bytes.length)
    if (frame.end !== null) return this.#end(channel, frame.end.successors)
    return this.#advance(channel, frame.watermark, frame.idle)
  }

  #passed(channel: Channel, { bytes }: Waiting): void {
    channel.stash.delete(channel.next)
    channel.next++
    channel.at = 0
    this.consumed++
    this.#stashBytes -= bytes.length
  }

  #advance(channel: Channel, watermark: number, idle: boolean): boolean {
    if (idle === channel.idle && (idle || watermark <= channel.watermark)) return true
    channel.watermark = Math.max(channel.watermark, watermark)
    channel.idle = idle
    return this.#combine(channel.input, channel)
  }

  /** Channels that count: those that live, and those that have ended and hold their successors' place. */
  #liveOf(input: number): Channel[] {
    const live: Channel[] = []
    for (const channel of this.#channels.values()) {
      if (channel.known && channel.input === input && (channel.successors === null || channel.successors.length > 0)) live.push(channel)
    }
    return live
  }

  #combine(input: number, changed: Channel | undefined): boolean {
    const live = this.#liveOf(input)
    const before = this.#progress[input]
    const now = live.length === 0 ? { watermark: MAX_WATERMARK, idle: before.idle } : combineProgress(before, live, changed)
    if (now.watermark !== before.watermark || now.idle !== before.idle) {
      this.#progress[input] = now
      this.listener.processProgress(input, before, now)
    }
    if (live.length === 0 && !this.#ended[input]) {
      this.#ended[input] = true
      this.listener.endOfInput(input)
    }
    return !this.listener.sweepPending
  }

  // --- ends and successors -----------------------------------------------------------------------------------------------

  #end(channel: Channel, successors: readonly Successor[]): boolean {
    channel.successors = successors.filter(({ splitId }) => this.#channels.get(inputName(channel.edge, splitId))?.known !== true)
    for (const successor of channel.successors) this.#beginIfDue(channel.edge, successor)
    if (channel.successors.length > 0) this.listener.count('parent-holds-watermark')
    return this.#combine(channel.input, undefined)
  }

  #beginIfDue(edge: number, { splitId, parents }: Successor): void {
    const ofEdge = [...this.#channels.values()].filter((channel) => channel.edge === edge && channel.known)
    for (const parent of parents) if (!ofEdge.some(({ name, successors }) => name === inputName(edge, parent) && successors !== null)) return
    // Parents that one listing of the stream no longer showed are known from another's END.
    const ended = ofEdge.filter(
      ({ name, successors }) =>
        successors?.some((successor) => successor.splitId === splitId) || parents.some((parent) => name === inputName(edge, parent)),
    )
    const name = inputName(edge, splitId)
    const channel = this.#channels.get(name) ?? this.#create(name, edge, true)
    const active = ended.filter(({ idle }) => !idle)
    channel.known = true
    channel.idle = active.length === 0
    channel.watermark = (channel.idle ? ended : active).reduce((least, { watermark }) => Math.min(least, watermark), MAX_WATERMARK)
    for (const parent of ended) parent.successors = (parent.successors ?? []).filter((waiting) => waiting.splitId !== splitId)
    this.listener.count('channel-begun')
  }

  // --- committing --------------------------------------------------------------------------------------------------------

  /** Frames that came, are not consumed and cannot be because one before them is missing. */
  get gaps(): number {
    let gaps = 0
    for (const { known, stash, next } of this.#channels.values()) if (known && stash.size > 0 && !stash.has(next)) gaps++
    return gaps
  }

  /** Some channel has reached a barrier and waits for others: the epoch of that barrier. */
  get waitingFor(): number | undefined {
    let epoch: number | undefined
    for (const { known, stash, next } of this.#channels.values()) {
      const front = known ? stash.get(next) : undefined
      if (front !== undefined && front.frame.epoch > this.epoch) epoch = Math.max(epoch ?? 0, front.frame.epoch)
    }
    return epoch
  }

  get stashed(): number {
    let frames = 0
    for (const { stash } of this.#channels.values()) frames += stash.size
    return frames
  }

  /** Frames to write to the log: those that came since the last call and still wait, or all that wait (`whole`, for a new base). */
  takeStashed(whole: boolean): Uint8Array[] {
    const arrived = this.#arrived.filter(({ channel, seq }) => channel.stash.has(seq)).map(({ bytes }) => bytes)
    this.#arrived = []
    return whole ? [...this.#channels.values()].flatMap(({ stash }) => [...stash.values()].map(({ bytes }) => bytes)) : arrived
  }

  /** All that waits, for whoever takes over the memory. */
  get allStashed(): readonly Uint8Array[] {
    return [...this.#channels.values()].flatMap(({ stash }) => [...stash.values()].map(({ bytes }) => bytes))
  }
}

/** A barrier, and nothing that its receiver does not know of the channel. */
function isBare({ elements, end, watermark, idle }: Frame, channel: Channel): boolean {
  return elements.length === 0 && end === null && idle === channel.idle && watermark <= channel.watermark
}

/** Names an input channel: the edge and the sending subtask. */
export function inputName(edge: number, from: string): string {
  return `${edge}:${from}`
}

function laterAttempt(frame: Frame, attempt: number, where: string): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: `a frame of attempt ${frame.attempt} came to a subtask of attempt ${attempt}`,
    where,
    todo: 'The batch comes again until this subtask has been restored too.',
  })
}

function misrouted(what: string, { vertex, index }: InputPlace, where?: string): MillraceError {
  return new MillraceError('FRAME_CORRUPT', {
    what: `${what} came to stage "${vertex.id}", subtask ${index}`,
    where,
    todo: 'The stream must have one shard for each subtask, and only the stages before this one may write to it.',
  })
}
