import { MillraceError } from '../core/index.js'
import type { CommitRecord } from './commit-record.js'
import type { JobControlOptions } from './job-control.js'
import type { StoredJob } from './job-log.js'
import { allSubtasks, type JobSubtask, readHead, tell } from './job-subtasks.js'
import { hasHeard, isWorthAPoke } from './outlook.js'
import { hasSource } from './stage-names.js'
import { DEFAULT_STAGE_SETTINGS } from './stage-settings.js'

/** Where a subtask stands. `unreadable`: it has something to say of its log itself. */
interface Seen {
  readonly subtask: JobSubtask
  readonly head: CommitRecord | 'unreadable' | undefined
  readonly heard: boolean
}

/** One look at the subtasks of a job that runs or has stopped: who is to be told or poked. Keeps nothing in memory. */
export class JobTick {
  constructor(
    readonly options: Pick<JobControlOptions, 'graph' | 'sources' | 'ports' | 'logRetentionMs' | 'settleMs'>,
    readonly stored: StoredJob,
  ) {}

  async poke(which: 'sources' | 'all'): Promise<number> {
    const { ports, graph } = this.options
    const subtasks = allSubtasks(graph, this.stored.record).filter(({ isSource }) => isSource || which === 'all')
    const seen = await Promise.all(subtasks.map((subtask) => this.#look(subtask)))
    const closed = await this.#closedSplits()
    const deaf = seen.filter(({ heard, head }) => !heard && head !== undefined).map(({ subtask }) => subtask)
    if (deaf.length > 0) ports.count('control-repaired')
    await tell(ports, this.stored, deaf, 'told')
    const poked = seen.filter((one) => this.#isWorthAPoke(one, seen, closed))
    await Promise.all(poked.map(({ subtask: { stage, subtask } }) => ports.pokes.poke({ stage, subtask }, ports.clock.now())))
    ports.count(poked.length > 0 ? 'tick-poked' : 'tick-quiet')
    return poked.length
  }

  async #look(subtask: JobSubtask): Promise<Seen> {
    try {
      const { head, told } = await readHead(this.options.ports, this.stored.record, subtask)
      return { subtask, head, heard: hasHeard(told, this.stored.record, subtask.hasSink) }
    } catch (thrown) {
      if (thrown instanceof MillraceError && thrown.code === 'LOG_CORRUPT') return { subtask, head: 'unreadable', heard: true }
      throw thrown
    }
  }

  /** Splits that end: those that are closed, and those that are not listed any more. */
  async #closedSplits(): Promise<ReadonlySet<string>> {
    const { ports, graph, sources } = this.options
    const closed = new Set<string>()
    for (const { id } of graph.vertices.filter(hasSource)) {
      const splits = await ports.streams.splits(sources[id])
      const open = new Set(splits.filter((split) => !split.closed).map(({ splitId }) => splitId))
      for (const split of Object.keys(this.stored.record.sources[id] ?? {})) if (!open.has(split)) closed.add(`${id}/${split}`)
    }
    return closed
  }

  #isWorthAPoke({ subtask, head }: Seen, all: readonly Seen[], closed: ReadonlySet<string>): boolean {
    const { record } = this.stored
    const { ports, logRetentionMs, settleMs } = { ...DEFAULT_STAGE_SETTINGS, ...this.options }
    // One that has no log is begun by who ends its parents.
    if (head === undefined) return false
    if (head === 'unreadable' || isWorthAPoke(head, { record, now: ports.clock.now(), logRetentionMs, settleMs })) return true
    if (!subtask.isSource) return false
    if (head.life === 'ended') return this.#leavesSuccessors(subtask, head, all)
    return head.life === 'running' && closed.has(`${subtask.stage}/${subtask.subtask}`)
  }

  /** A split that continues this one has not begun: whoever ended it may not have come that far. */
  #leavesSuccessors({ stage }: JobSubtask, { successors }: CommitRecord, all: readonly Seen[]): boolean {
    return successors.some(({ splitId }) => {
      const begun = all.find(({ subtask }) => subtask.stage === stage && subtask.subtask === splitId)?.head
      return begun === undefined || (begun !== 'unreadable' && (begun.attempt !== this.stored.record.attempt || begun.life === 'retired'))
    })
  }
}
