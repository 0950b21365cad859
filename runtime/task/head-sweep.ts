import { MAX_WATERMARK } from '../core/index.js'
import type { CommitRecord } from './commit-record.js'
import type { HeadInput } from './head-input.js'
import type { ChainedOperator } from './operator-chain.js'
import type { WatermarkProgress } from './rising-output.js'
import type { StageEvent } from './stage-ports.js'

/** What the inputs were before the watermark whose timers are still firing, and what the head had let through. */
type Interrupted = Pick<CommitRecord, 'inputs' | 'head'>

/**
 * The progress of the inputs as the head of the chain hears it, and the sweep of timers that a watermark begins: one that the budget stops goes
 * on in later commits, also of an instance that starts cold.
 */
export class HeadSweep {
  #interrupted: Interrupted | null

  constructor(
    readonly chain: readonly ChainedOperator[],
    readonly head: HeadInput,
    readonly count: (event: StageEvent) => void,
    { sweep, head: through }: Pick<CommitRecord, 'sweep' | 'head'>,
  ) {
    this.#interrupted = sweep && { inputs: sweep, head: through }
  }

  /** Timers that may fire in the commit under way. */
  set budget(timers: number) {
    for (const { keyed } of this.chain) if (keyed !== undefined) keyed.backend.sweepBudget = timers
  }

  get pending(): boolean {
    return this.chain[0].operator.sweepPending
  }

  /** `inputs` are all of them as they are now; that of number `input` was `before`. */
  advance(input: number, before: WatermarkProgress, inputs: readonly WatermarkProgress[]): void {
    const { progress: head } = this.head
    this.#tell(input, before, inputs[input])
    if (!this.pending) return
    this.#interrupted = { inputs: inputs.map((progress, at) => (at === input ? before : progress)), head }
    this.count('sweep-interrupted')
  }

  #tell(input: number, before: WatermarkProgress, now: WatermarkProgress): void {
    const rises = now.watermark > before.watermark
    // An input that is idle throughout may have come further, by the end of one of its channels: its watermark is heard, and it is idle again.
    const again = rises && before.idle && now.idle && now.watermark !== MAX_WATERMARK
    if (before.idle && (!now.idle || again)) this.head.processStatus(false, input)
    if (rises) this.head.processWatermark(now.watermark, input)
    if (now.idle && (!before.idle || again)) this.head.processStatus(true, input)
  }

  resume(): void {
    this.count('sweep-resumed')
    this.chain[0].operator.resumeSweep()
    if (!this.pending) this.#interrupted = null
  }

  /** After a cold start the watermark is said again to the head, which has no budget to fire anything: the sweep is pending, as it was. */
  beginAgain(inputs: readonly WatermarkProgress[]): void {
    if (this.#interrupted === null) return
    const { inputs: before } = this.#interrupted
    this.budget = 0
    for (const [input, now] of inputs.entries()) this.#tell(input, before[input], now)
    // What the budget had stopped may have been timers of processing time alone.
    if (!this.pending) this.#interrupted = null
  }

  /** What the commit record says of it. */
  get progress(): Pick<CommitRecord, 'sweep' | 'head'> {
    if (this.#interrupted === null) return { sweep: null, head: this.head.progress }
    return { sweep: this.#interrupted.inputs, head: this.#interrupted.head }
  }
}
