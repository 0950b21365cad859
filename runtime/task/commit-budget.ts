import type { Clock } from '../ports/index.js'
import type { Budget } from './input-channels.js'
import type { StageSettings } from './stage-settings.js'

/** What one commit may take in, or have for other stages: a shard of their streams takes 1 MB a second. The first record or frame always fits. */
export class CommitBudget implements Budget {
  #records = 0
  #bytes = 0
  readonly #until: number
  readonly #writtenBefore: number

  constructor(
    readonly clock: Clock,
    readonly settings: Pick<StageSettings, 'commitRecords' | 'commitBytes' | 'commitMs'>,
    readonly output: { readonly recordsWritten: number },
  ) {
    this.#until = clock.monotonic() + settings.commitMs
    this.#writtenBefore = output.recordsWritten
  }

  get spent(): boolean {
    const { commitRecords, commitBytes } = this.settings
    if (this.#records === 0 && this.#bytes === 0) return false
    const written = this.output.recordsWritten - this.#writtenBefore
    return Math.max(this.#records, written) >= commitRecords || this.#bytes >= commitBytes || this.clock.monotonic() >= this.#until
  }

  spend(records: number, bytes: number): void {
    this.#records += records
    this.#bytes += bytes
  }
}
