import { MAX_WATERMARK, MIN_WATERMARK } from '../core/index.js'
import { vertexOf } from '../plan/index.js'
import type { SplitInfo, Successor } from '../ports/index.js'
import { EMPTY_BASE } from './base-state.js'
import { BLANK_COMMIT } from './blank-commit.js'
import { type CommitRecord, decodeCommit, encodeCommit, partPlace, storePart } from './commit-record.js'
import { JobControl } from './job-control.js'
import { LoggedState } from './logged-state.js'
import { openStage, type StagePlace } from './open-stage.js'
import { encodeOutbox } from './outbox.js'
import { isRecordStreamSource } from './record-stream-source.js'
import type { WatermarkProgress } from './rising-output.js'
import { forgottenSplit, lostLog, orphanSplit, otherAttempt, registrationRefused } from './stage-errors.js'
import { subtaskLogName } from './stage-names.js'
import type { StageSubtask } from './stage-subtask.js'

/**
 * How a split of a source begins whose parents have been read to their ends, in steps that any instance may repeat:
 * its parents' ends are committed and sent; it registers with the job, which gives it its epoch; its first version is committed, with an empty
 * frame of that epoch for every channel. All are fenced by the attempt.
 */
export class SplitStart {
  constructor(
    readonly place: StagePlace,
    readonly sibling: (splitId: string) => StageSubtask,
    /** Logical name of the stream, where it is known; else the job is asked. */
    readonly knownStream: string | undefined,
  ) {}

  get #stream(): string {
    if (this.knownStream !== undefined) return this.knownStream
    const job = this.place.describe()
    const source = job.nodes.get(vertexOf(job.graph, this.place.stage).operators[0].uid)?.source?.source
    return source !== undefined && isRecordStreamSource(source) ? source.stream : ''
  }

  #splits(): Promise<readonly SplitInfo[]> {
    return this.place.ports.streams.splits(this.#stream)
  }

  /** Those that continue this split. */
  async successors(): Promise<readonly Successor[]> {
    return successorsIn(await this.#splits(), this.place.subtask)
  }

  /** Those that continue this split, if it is closed and has been read to its end; undefined if not. */
  async ifDrained(position: bigint | undefined): Promise<readonly Successor[] | undefined> {
    const { ports, subtask } = this.place
    if (!(await ports.streams.drained(this.#stream, subtask, position))) return undefined
    const splits = await this.#splits()
    // Its END, which cannot be taken back, names who goes on: nobody would be found, and the records in between are gone.
    if (!splits.some(({ splitId }) => splitId === subtask)) throw forgottenSplit(this.#log(subtask), subtask)
    return successorsIn(splits, subtask)
  }

  /** A batch of a split that has no log has come: its parents have been read to their ends. Throws BATCH_REFUSED, SOURCE_FAILED. */
  async start(splitId: string, attempt: number | undefined): Promise<void> {
    const log = this.#log(splitId)
    const { record } = (await this.#jobRecord()) ?? {}
    const current = record?.attempt ?? 0
    if (attempt !== undefined && attempt !== current) throw otherAttempt(log, current, attempt)
    const known = (await this.#splits()).find((split) => split.splitId === splitId)
    const parents = known?.parents ?? []
    if (parents.length === 0) throw record?.sources[this.place.stage]?.[splitId] === undefined ? orphanSplit(log, splitId) : lostLog(log)
    const heads: CommitRecord[] = []
    for (const parent of parents) heads.push(await this.sibling(parent).endSplit(current))
    await this.#begin({ splitId, parents }, heads, current)
  }

  /** Begins the splits that continue one that has ended, as far as all their parents have. */
  async startSuccessors(ended: CommitRecord): Promise<void> {
    for (const successor of ended.successors) {
      const heads: CommitRecord[] = []
      for (const parent of successor.parents) {
        const head = await this.#head(parent)
        if (head?.life !== 'ended' || head.attempt !== ended.attempt) break
        heads.push(head)
      }
      if (heads.length < successor.parents.length) continue
      const head = await this.#head(successor.splitId)
      if (head !== undefined && head.attempt === ended.attempt && head.life !== 'retired') continue
      // Their ends have been committed; that they have been sent is made sure of.
      for (const parent of successor.parents) await this.sibling(parent).endSplit(ended.attempt)
      await this.#begin(successor, heads, ended.attempt)
      await this.sibling(successor.splitId).invoke({ kind: 'poke' })
    }
  }

  async #begin({ splitId, parents }: Successor, heads: readonly CommitRecord[], attempt: number): Promise<void> {
    const { deployment, ports, settings, stage } = this.place
    const log = this.#log(splitId)
    const { revision } = deployment
    const registered = await JobControl.register(ports, deployment.job, { attempt, stage, split: { splitId, parents }, revision })
    if ('refused' in registered) throw registrationRefused(log, registered.refused)
    const { item } = await ports.log.head(log)
    if (item !== undefined) {
      const head = decodeCommit(log, item)
      if (head.attempt > attempt) throw otherAttempt(log, head.attempt, attempt)
      if (head.attempt === attempt && head.life !== 'retired') {
        ports.count('split-start-repeated')
        return
      }
    }
    const version = (item?.version ?? 0) + 1
    const record = await this.#firstCommit(splitId, version, heads, { ...registered, attempt })
    const expiresAtMs = ports.clock.now() + settings.logRetentionMs
    // `lost`: another instance has begun it, or a restore has come between; whoever reads the log sees which.
    await ports.log.append(log, { version, payload: encodeCommit(record), expiresAtMs })
    ports.count('split-started')
  }

  /** What its channels are told at first: where its parents ended, and its epoch. */
  async #firstCommit(
    splitId: string,
    version: number,
    heads: readonly CommitRecord[],
    { attempt, epoch, ordinal, stopped }: { readonly attempt: number; readonly epoch: number; readonly ordinal: number; readonly stopped: boolean },
  ): Promise<CommitRecord> {
    const { deployment, ports, settings } = this.place
    const start: CommitRecord = {
      ...BLANK_COMMIT,
      plan: deployment.plan,
      attempt,
      kind: 'CTL',
      // The barrier that it begins with may be a stop.
      life: stopped ? 'stopped' : 'running',
      epoch,
      lastNow: heads.reduce((latest, head) => Math.max(latest, head.lastNow), Number.NEGATIVE_INFINITY),
      index: ordinal,
      origins: originsBehind(heads),
      base: { version, atMs: ports.clock.now(), state: null },
    }
    const opened = { version: 0, head: start, logged: new LoggedState(EMPTY_BASE), segments: new Map(), operatorStates: new Map(), stash: [] }
    const live = await openStage({ ...this.place, subtask: splitId }, opened)
    const frames = live.helloFrames(stopped)
    const record = { ...start, ...live.progress }
    await live.close()
    const outbox = encodeOutbox({ frames, sinks: [], letters: [], wakeAt: null, ack: null })
    const place = partPlace(ports, this.#log(splitId), version, settings.inlineBytes)
    return { ...record, outbox: await storePart(place, outbox) }
  }

  #log(splitId: string): string {
    return subtaskLogName(this.place.deployment, this.place.stage, splitId)
  }

  async #head(splitId: string): Promise<CommitRecord | undefined> {
    const log = this.#log(splitId)
    const { item } = await this.place.ports.log.head(log)
    return item && decodeCommit(log, item)
  }

  async #jobRecord() {
    return JobControl.read(this.place.ports, this.place.deployment.job)
  }
}

function successorsIn(splits: readonly SplitInfo[], parent: string): readonly Successor[] {
  return splits.filter(({ parents }) => parents.includes(parent)).map(({ splitId, parents }) => ({ splitId, parents }))
}

/** Watermarks go on where the parents' that were active ended. */
function originsBehind(heads: readonly CommitRecord[]): Record<string, WatermarkProgress> {
  const origins: Record<string, WatermarkProgress> = {}
  for (const uid of Object.keys(heads[0].origins)) {
    const parents = heads.map((head) => head.origins[uid] ?? { watermark: MIN_WATERMARK, idle: false })
    const active = parents.filter(({ idle }) => !idle)
    const counting = active.length === 0 ? parents : active
    const watermark = counting.reduce((least, parent) => Math.min(least, parent.watermark), MAX_WATERMARK)
    origins[uid] = { watermark, idle: active.length === 0 }
  }
  return origins
}
