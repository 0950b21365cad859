import type { Chance } from './chance.js'

/** Everything that may go wrong, with what it stands for. Each is counted whenever it really happens. */
export const FAULTS = {
  // At a call of a port.
  'crash-before': 'the program ends before a call takes effect',
  'crash-after': 'the program ends when a call has taken effect and before it learns of it',
  'throw-before': 'a call fails and has no effect',
  'throw-after': 'a call takes effect and reports a failure',
  throttled: 'a service refuses every call for a while',
  stall: 'a call takes seconds to hours: the invocation times out and its instance goes on as a zombie',
  'won-as-lost': 'a conditional put is won, repeated by the client, and reported as lost',
  'torn-read': 'a read takes several pages, and others write between them',
  'blob-missing': 'a blob that exists is not found, once',
  'entries-refused': 'some entries of a put fail',
  'entry-late': 'an entry that was reported as failed arrives later',
  'entry-doubled': 'an entry arrives twice',
  'entries-reordered': 'entries arrive in another order',
  'poke-lost': 'a poke never arrives',
  'poke-doubled': 'a poke arrives twice',
  'poke-late': 'a poke arrives late',
  'poke-early': 'a poke arrives early',
  'poke-old-revision': 'a poke reaches a function of an older revision',
  // Of what runs the functions.
  'clock-off': 'the clock of an instance is off by up to 5 minutes',
  'clock-jump': 'the clock of an instance jumps',
  'other-instance': 'the next batch goes to another instance, whose memory may be old',
  'instances-lost': 'all warm instances end',
  'other-boundaries': 'a batch is tried again with other boundaries',
  'batch-doubled': 'a batch is delivered twice at the same time',
  'batch-repeated': 'a batch that was acknowledged is delivered again',
  'answer-lost': 'a batch was processed, and the stream reader never heard of it',
  'position-back': 'the stream reader goes back some records',
  'given-up': 'an invocation is given up before its time, and goes on',
  'delivery-paused': 'a stream is not read for a while',
  'mapping-lingers': 'a mapping of a former attempt goes on to deliver for a while',
  'log-expired': 'the log drops items that have expired',
  // Of what goes on around.
  'abort-at-random': 'a checkpoint is aborted at any moment',
  'back-to-back': 'a checkpoint begins as soon as the one before is over',
  'coordinator-again': 'a step of the coordinator runs twice at the same time',
  restore: 'the job is restored from a completed checkpoint',
  'restore-afresh': 'the job is restored from nothing',
  'restore-again': 'a restore begins while another has not ended',
  'restore-dropped': 'somebody asks for a checkpoint that has been cleaned up',
  'clean-up-in-restore': 'clean-up runs while the job is restored',
  'clean-up-in-checkpoint': 'clean-up runs while a checkpoint is under way',
  'restore-with-zombies': 'invocations of the former attempt live on over a restore',
  rescale: 'the job goes on as another revision with another parallelism',
  rollback: 'a new revision fails while it is activated, and the old one goes on from the savepoint',
  'rollback-after-reading': 'a new revision fails when it has begun to read, and the sources go back to where the old one stopped',
  'stop-and-resume': 'the job is stopped with a savepoint and goes on from it',
  fork: 'another job begins with a checkpoint of this one',
  split: 'a shard of a source is split',
  merge: 'two shards of a source are merged',
  'reshard-in-checkpoint': 'a source is resharded while a checkpoint is under way',
  'reshard-in-restore': 'a source is resharded while the job is restored',
  'silent-split': 'a shard never gets a record before it is closed or the input ends',
  'source-finished': 'a shard is closed and has no successors',
  poison: 'a record that the job cannot process',
  'function-throws': 'a function throws for a record of another stage, always',
  'function-repaired-late': 'a function throws for a record, until it has been mended',
  'tick-races-control': 'a poke runs while a batch of the same subtask does',
} as const

export type FaultKind = keyof typeof FAULTS
export const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[]

/** How often, by kind: for a kind at a port's call the probability at each call that it can befall. */
export type FaultRates = Partial<Record<FaultKind, number>>

/** Decides about faults, and counts them. After {@link endAtMs} none happen any more. */
export class Faults {
  readonly counts = new Map<FaultKind, number>()
  over = false

  constructor(
    readonly rates: FaultRates,
    readonly without: ReadonlySet<FaultKind>,
    readonly chance: Chance,
  ) {}

  /** One of `kinds`, or none; it counts as done. One draw, whatever the answer, so that kinds taken away leave the others alone. */
  draw(kinds: readonly FaultKind[]): FaultKind | undefined {
    let left = this.chance.next()
    if (this.over) return undefined
    for (const kind of kinds) {
      left -= this.rates[kind] ?? 0
      if (left < 0) {
        if (this.without.has(kind)) return undefined
        this.happened(kind)
        return kind
      }
    }
    return undefined
  }

  happened(kind: FaultKind, times = 1): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + times)
  }
}
