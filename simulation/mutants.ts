/** One place of the engine, changed. `find` occurs exactly once in the file. */
export interface Edit {
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** The engine with a hole that the simulation must find. */
export interface Mutant {
  readonly name: string
  readonly what: string
  readonly edits: readonly Edit[]
  /** Profiles that are made for it; by default all. */
  readonly profiles?: readonly string[]
  /** Kinds of jobs, likewise. */
  readonly kinds?: readonly string[]
}

const SUBTASK = 'runtime/task/stage-subtask.ts'
const CHANNELS = 'runtime/task/input-channels.ts'
const STEP = 'runtime/task/stage-step.ts'
const DELIVERY = 'runtime/task/stage-delivery.ts'
const FENCE = 'runtime/task/stage-fence.ts'
const COMPACTION = 'runtime/task/stage-compaction.ts'
const SPLITS = 'runtime/task/split-start.ts'
const OUTLOOK = 'runtime/task/outlook.ts'
const ACTIVATION = 'runtime/task/job-activation.ts'
const DUE_KEYS = 'runtime/state/due-keys.ts'
const CLEAN_UP = 'runtime/task/clean-up.ts'
const CLEAN_UP_DECISIONS = 'runtime/checkpoint/clean-up-decisions.ts'
/** Jobs that remove rows which no watermark sweeps away. */
const REMOVING: readonly string[] = ['timers', 'keyed-state', 'co-process']
const RESTORES: readonly string[] = ['restore', 'restore-zombies', 'rescale', 'everything']
const APPEND = '    const version = memory.version + 1\n    const expiresAtMs'

const sendFirst = (condition: string): Edit => ({
  file: SUBTASK,
  find: APPEND,
  replace: `    if (${condition}) await this.#delivery.send(memory, prepared.outbox)\n${APPEND}`,
})

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'blob-named-by-version',
    what: 'the name of a part has no random text: the loser of a race and the winner share it',
    edits: [
      {
        file: 'runtime/task/commit-record.ts',
        find: "nonce()}`\n    if ((await blobs.put(name, bytes)) === 'stored') return",
        replace: 'bytes.length}`\n    void nonce\n    await blobs.put(name, bytes)\n    return',
      },
    ],
  },
  {
    name: 'log-dropped-after-rebase',
    what: 'items of the log go when a new base has been written, while others may still stand before them',
    edits: [
      {
        file: SUBTASK,
        find: 'ports.clock.now() + settings.logRetentionMs\n    if (',
        replace: 'ports.clock.now() + settings.logRetentionMs / 20\n    if (',
      },
      { file: 'runtime/task/stage-commit.ts', find: 'settings.logRetentionMs / 2', replace: 'settings.logRetentionMs / 40' },
    ],
    profiles: ['slow', 'zombies', 'everything'],
  },
  {
    name: 'outbox-not-ensured',
    what: 'the next version is committed though nobody knows that the outbox of the one before has arrived',
    edits: [{ file: SUBTASK, find: '      await this.#delivery.ensureSent(memory, work)', replace: '      memory.sent = true' }],
  },
  {
    name: 'sent-by-control-commit',
    what: 'a batch from behind the position says that the outbox was sent, even if the head is no commit of a batch',
    edits: [{ file: DELIVERY, find: "head.kind === 'BATCH' && isBehind(head, work)", replace: 'isBehind(head, work)' }],
  },
  {
    name: 'sent-by-snapshot',
    what: 'the same, but only if the head is a snapshot',
    edits: [
      {
        file: DELIVERY,
        find: "head.kind === 'BATCH' && isBehind(head, work)",
        replace: "(head.kind === 'BATCH' || (head.base.version === version && head.position !== null)) && isBehind(head, work)",
      },
    ],
  },
  {
    name: 'gap-is-failure',
    what: 'a frame that comes early fails the batch',
    edits: [
      {
        file: CHANNELS,
        find: '    const kept = bytes.slice()\n',
        replace:
          '    if (frame.seq > channel.next && !channel.stash.has(frame.seq - 1)) throw laterAttempt(frame, this.#attempt, where)\n    const kept = bytes.slice()\n',
      },
    ],
    profiles: ['channels', 'everything'],
  },
  {
    name: 'cache-kept-after-failure',
    what: 'what an invocation that failed has done to the memory stays',
    edits: [
      {
        file: SUBTASK,
        find: '    } catch (error) {\n      await this.#memory.drop()\n      throw error\n    } finally',
        replace: '    } catch (error) {\n      throw error\n    } finally',
      },
    ],
  },
  {
    name: 'send-before-commit',
    what: 'what a batch makes is sent before it is committed',
    edits: [sendFirst("prepared.record.kind === 'BATCH' && step?.cut === undefined")],
  },
  {
    name: 'send-before-commit-of-tick',
    what: 'what a poke makes is sent before it is committed',
    edits: [sendFirst("prepared.record.kind === 'CTL' && step.cut === undefined")],
  },
  {
    name: 'send-before-commit-of-checkpoint',
    what: 'barrier and acknowledgement are sent before the snapshot is committed',
    edits: [sendFirst('step?.cut !== undefined')],
  },
  {
    name: 'old-mapping-not-fenced',
    what: "a batch of a former attempt's mapping is taken",
    edits: [
      {
        file: FENCE,
        find: 'work.attempt !== undefined && work.attempt !== head.attempt) {',
        replace: "work.attempt !== undefined && work.attempt !== head.attempt && work.kind === 'end') {",
      },
    ],
    profiles: ['restore', 'restore-zombies', 'everything'],
  },
  {
    name: 'child-not-fenced',
    what: "a batch of a former attempt's mapping begins a split, and so ends parents that have not been read to their ends again",
    edits: [{ file: SPLITS, find: 'if (attempt !== undefined && attempt !== current) throw otherAttempt(log, current, attempt)', replace: '' }],
    profiles: ['reshard-restore'],
  },
  {
    name: 'no-hello',
    what: 'a split that begins sends no frames of its epoch',
    edits: [{ file: SPLITS, find: 'const frames = live.helloFrames(stopped)', replace: 'const frames: never[] = []' }],
    profiles: ['reshard'],
    // Where there are watermarks, a split that has begun says the one that it begins at, which is a frame of its epoch as well.
    kinds: ['stateless', 'keyed-state', 'side-outputs', 'operator-state', 'processing-time'],
  },
  {
    name: 'snapshot-at-first-barrier',
    what: 'a subtask cuts at the first barrier and not at the last',
    edits: [{ file: CHANNELS, find: '      if (waiting === undefined) return undefined', replace: '      if (waiting === undefined) continue' }],
  },
  {
    name: 'watermark-greatest',
    what: 'the watermark of an input is the greatest of its channels',
    edits: [
      {
        file: 'runtime/task/input-progress.ts',
        find: '(least, channel) => Math.min(least, channel.watermark), MAX_WATERMARK)',
        replace: '(least, channel) => Math.max(least, channel.watermark), before.watermark)',
      },
    ],
  },
  {
    name: 'idle-is-active',
    what: 'a channel that is idle holds the watermark',
    edits: [
      {
        file: 'runtime/task/input-progress.ts',
        find: '!channel.idle && channel.watermark >= before.watermark',
        replace: 'channel.watermark >= before.watermark',
      },
    ],
    kinds: ['stateless', 'keyed-state', 'side-outputs', 'three-stage', 'late'],
  },
  {
    name: 'ended-parent-does-not-hold',
    what: 'a parent that has ended does not hold the watermark for a successor that has not begun',
    edits: [
      {
        file: CHANNELS,
        find: '(channel.successors === null || channel.successors.length > 0)) live.push',
        replace: 'channel.successors === null) live.push',
      },
    ],
    profiles: ['reshard', 'everything'],
  },
  {
    name: 'child-begins-with-first-parent',
    what: 'a merged split begins when the first of its parents has ended',
    edits: [
      {
        file: CHANNELS,
        find: 'for (const parent of parents) if (!ofEdge.some(',
        replace: 'for (const parent of parents.slice(0, 1)) if (!ofEdge.some(',
      },
      { file: SPLITS, find: 'if (heads.length < successor.parents.length) continue', replace: 'if (heads.length === 0) continue' },
    ],
    profiles: ['reshard', 'everything'],
  },
  {
    name: 'state-of-one-former-subtask',
    what: 'a rescale takes the state of one former subtask only',
    edits: [
      {
        file: 'runtime/checkpoint/restore-plan.ts',
        find: 'if (former.keyed.length === 0) continue',
        replace: 'if (former.keyed.length === 0 || shares.length > 0) continue',
      },
    ],
    profiles: ['rescale', 'everything'],
  },
  {
    name: 'stopped-acknowledges',
    what: 'a stopped subtask acknowledges batches that it does not take',
    edits: [{ file: FENCE, find: '    throw onHold(log)', replace: '    return false' }],
    profiles: ['stop', 'rescale', 'everything'],
  },
  {
    name: 'sweep-not-resumed',
    what: 'timers that were still to fire when a commit ended are forgotten by an instance that starts cold',
    edits: [
      {
        file: 'runtime/task/head-sweep.ts',
        find: 'const { inputs: before } = this.#interrupted',
        replace: 'this.#interrupted = null\n    const before = inputs\n    if (before) return',
      },
    ],
    profiles: ['crashes', 'zombies', 'everything'],
    kinds: ['tumbling', 'sliding', 'session', 'timers', 'three-stage'],
  },
  {
    name: 'several-commits-one-delivery',
    what: 'of several commits of an invocation only the last is delivered',
    edits: [
      {
        file: SUBTASK,
        find: 'await this.#committed(memory, version, prepared)',
        replace:
          'await this.#committed(memory, version, step?.more === true ? { ...prepared, outbox: { ...prepared.outbox, frames: [], sinks: [] } } : prepared)',
      },
    ],
  },
  {
    name: 'several-commits-skip-position',
    what: 'the first commit of a long batch takes the position of its last record',
    edits: [
      {
        file: STEP,
        find: '      more = true\n      break',
        replace: '      more = true\n      live.position = work.records[work.records.length - 1].position\n        break',
      },
    ],
  },
  {
    name: 'records-taken-twice',
    what: 'a source does not skip records that it has taken',
    edits: [{ file: STEP, find: '    if (live.position !== undefined && record.position <= live.position) continue', replace: '' }],
  },
  {
    name: 'reset-keeps-sequence-numbers',
    what: 'senders go on counting their frames over a restore',
    edits: [
      {
        file: 'runtime/task/reset-record.ts',
        find: '    ...blank,\n    plan: place.plan,',
        replace: '    ...blank,\n    outputs: head?.outputs ?? {},\n    plan: place.plan,',
      },
    ],
    profiles: RESTORES,
  },
  {
    name: 'resumed-restore-skips-logs',
    what: 'a restore that is resumed resets no log before the sources if it finds the first of them reset',
    edits: [
      {
        file: ACTIVATION,
        find: '    for (const start of starts.filter(({ split }) => split === null).reverse()) await',
        replace:
          "    const inner = starts.filter(({ split }) => split === null).reverse()\n    const { item } = inner.length === 0 ? {} : await ports.log.head(subtaskLogName(deployment, inner[0].stage, inner[0].subtask))\n    const done = item !== undefined && fencedHead('', item).attempt === record.attempt\n    for (const start of done ? [] : inner) await",
      },
    ],
    profiles: RESTORES,
  },
  {
    name: 'running-before-all-are-reset',
    what: 'a restore lets the job run before all logs are reset',
    edits: [
      {
        file: ACTIVATION,
        find: '    for (const leaving of record.leaving) await',
        replace:
          '    await updateJob(ports, deployment.job, (newest) => decideRunning(newest, record.attempt))\n    for (const leaving of record.leaving) await',
      },
    ],
    profiles: RESTORES,
  },
  {
    name: 'sinks-not-fenced',
    what: 'a restore does not raise the markers of the sinks',
    edits: [{ file: ACTIVATION, find: '    await fenceSinks?.(record.attempt, record.writers)\n', replace: '' }],
    profiles: ['rescale-zombies'],
  },
  {
    name: 'leaving-not-retired',
    what: 'another revision is activated and the logs of the old one are not retired',
    edits: [{ file: ACTIVATION, find: '    for (const leaving of record.leaving) await this.#retire(leaving, place)\n', replace: '' }],
    profiles: ['rescale', 'stop', 'everything'],
  },
  {
    name: 'merge-keeps-removed-rows',
    what: 'a segment of what changed says nothing of rows that were removed',
    edits: [
      {
        file: 'runtime/state/merged-rows.ts',
        find: "if (!this.bottom) this.#set(key, { kind: 'removed', namespace, info })",
        replace: 'if (!this.bottom) void info',
      },
    ],
    kinds: REMOVING,
  },
  {
    name: 'tombstone-dropped-too-early',
    what: 'changes are merged as if nothing older were behind them',
    edits: [{ file: 'runtime/task/keyed-base.ts', find: '{ bottom: kept.length === 0, sweptTo', replace: '{ bottom: true, sweptTo' }],
    // Elsewhere most segments are so small that they stand inline, and a base keeps none of the one before.
    profiles: ['clean-up'],
    kinds: REMOVING,
  },
  {
    name: 'inline-segment-forgotten',
    what: 'what stood inline in the base before is not in the next one',
    edits: [
      { file: 'runtime/task/keyed-base.ts', find: 'readKeyedState(before.slice(kept.length),', replace: 'readKeyedState(whole ? before : [],' },
    ],
  },
  {
    name: 'compaction-over-newer-segments',
    what: 'a compaction that is swapped in takes the place of what came behind it, too',
    edits: [{ file: COMPACTION, find: '...refs.slice(from + replaced.length)]', replace: ']' }],
  },
  {
    name: 'compaction-drops-tombstones',
    what: 'a compaction drops removals of what older segments still hold',
    edits: [{ file: COMPACTION, find: '    bottom: atBottom,', replace: '    bottom: true,' }],
  },
  {
    name: 'compaction-deletes-at-once',
    what: 'what a compaction has replaced is deleted as soon as it is swapped in',
    edits: [
      {
        file: SUBTASK,
        find: "        ports.count('compaction')\n",
        replace:
          "        for (const { name } of compaction.replaced) await ports.checkpoints.blobs.delete(name)\n        ports.count('compaction')\n",
      },
    ],
  },
  {
    name: 'compaction-not-looked-at-again',
    what: 'a compaction whose commit was lost is swapped into the base that it began with',
    edits: [
      {
        file: SUBTASK,
        find: '    const compaction = await compact(due,',
        replace: '    const begunWith = memory.logged.base\n    const compaction = await compact(due,',
      },
      { file: SUBTASK, find: 'const base = compacted(current.logged.base, compaction)', replace: 'const base = compacted(begunWith, compaction)' },
    ],
  },
  {
    name: 'base-without-commits-of-others',
    what: 'a base lacks what other instances have committed since the last one',
    edits: [{ file: 'runtime/task/stage-recovery.ts', find: '    else logged.append(deltas)', replace: '' }],
  },
  {
    name: 'completes-with-one-missing',
    what: 'a checkpoint completes while one acknowledgement is missing',
    edits: [
      { file: 'runtime/checkpoint/job-decisions.ts', find: '  if (missing > 0) return refused(', replace: '  if (missing > 1) return refused(' },
    ],
  },
  {
    name: 'unchanged-by-one-source',
    what: 'a checkpoint is left out because the first subtask that is looked at has not changed',
    edits: [
      {
        file: 'runtime/task/job-control.ts',
        find: 'return others.includes(false) ? undefined : record.completed',
        replace: 'void others\n    return record.completed',
      },
    ],
  },
  {
    name: 'tick-without-unsent',
    what: 'a tick leaves a subtask alone whose outbox may not have arrived',
    edits: [
      {
        file: OUTLOOK,
        find: 'head.attempt !== record.attempt || isUnsettled(head, now, settleMs) ||',
        replace: 'void settleMs, head.attempt !== record.attempt ||',
      },
    ],
  },
  {
    name: 'tick-without-silent-splits',
    what: 'a tick does not look whether a split without records has ended',
    edits: [
      {
        file: 'runtime/task/job-tick.ts',
        find: "return head.life === 'running' && closed.has(",
        replace: "return head.life === 'retired' && closed.has(",
      },
    ],
    profiles: ['reshard', 'everything'],
  },
  {
    name: 'barrier-passed-with-what-it-carries',
    what: 'the first frame behind a barrier is passed over with its records',
    edits: [{ file: CHANNELS, find: 'return elements.length === 0 && end === null &&', replace: 'void elements\n  return end === null &&' }],
  },
  {
    name: 'failed-record-leaves-traces',
    what: 'what a function has done before it threw stays when the record goes to the dead letters',
    edits: [
      {
        file: SUBTASK,
        find: "      await this.#memory.drop()\n      return 'again'",
        replace: "      live.failures.takeLetters()\n      return 'again'",
      },
    ],
    profiles: ['poison'],
    kinds: ['tumbling', 'keyed-state', 'timers', 'three-stage'],
  },
  {
    name: 'failed-record-means-sent',
    what: 'behind a record that failed the outbox of a head that another instance has committed counts as sent',
    edits: [
      {
        file: SUBTASK,
        find: "if ((outcome === 'again' || dropped) && memory?.version === version) memory.sent",
        replace: "void version\n        if ((outcome === 'again' || dropped) && memory) memory.sent",
      },
    ],
    profiles: ['poison'],
  },
  {
    name: 'clean-up-without-grace',
    what: 'a blob is deleted as soon as nothing refers to it',
    edits: [{ file: CLEAN_UP_DECISIONS, find: 'if (nowMs - since >= graceMs) due', replace: 'if (nowMs >= since) due' }],
    profiles: ['clean-up'],
  },
  {
    name: 'clean-up-forgets-manifests',
    what: 'segments of checkpoints that stay are deleted',
    edits: [
      {
        file: CLEAN_UP,
        find: 'for (const manifest of manifests) refer(',
        replace: 'for (const manifest of manifests.slice(manifests.length)) refer(',
      },
    ],
    profiles: ['clean-up'],
  },
  {
    name: 'clean-up-forgets-bases',
    what: 'what logs begin with is deleted, if no checkpoint has it',
    edits: [{ file: CLEAN_UP, find: 'if (base !== undefined) refer(', replace: 'if (base === null) refer(' }],
    profiles: ['clean-up'],
  },
  {
    name: 'clean-up-forgets-pending',
    what: 'what was acknowledged of a checkpoint under way is deleted',
    edits: [{ file: CLEAN_UP, find: 'if (pending !== null) said', replace: 'if (pending === undefined) said' }],
    profiles: ['clean-up'],
    // One stage goes on behind its acknowledgement, and compacts, while another's stream is not read for hours.
    kinds: ['three-stage'],
  },
  {
    name: 'clean-up-forgets-ends',
    what: 'what subtasks that have ended acknowledged for all checkpoints to come is deleted',
    edits: [{ file: CLEAN_UP, find: 'const said = [{ name: endedLogName(record, attempt), blobs: checkpoints.blobs }]', replace: 'const said = []' }],
    profiles: ['clean-up'],
  },
  {
    name: 'clean-up-in-restore',
    what: 'clean-up deletes while logs are being reset, and what they are reset to',
    edits: [
      { file: CLEAN_UP, find: "if (stored.record.phase === 'restoring')", replace: "if (stored.record.phase === 'never')" },
      { file: CLEAN_UP_DECISIONS, find: "|| record.phase === 'restoring') return", replace: ') return' },
      { file: CLEAN_UP_DECISIONS, find: '.filter((id) => !isFrom(from, id))', replace: '' },
    ],
    profiles: ['clean-up'],
  },
  {
    name: 'clean-up-drops-what-the-attempt-began-with',
    what: 'the checkpoint that the attempt began with, to which a deployment goes back, is dropped like any other',
    edits: [{ file: CLEAN_UP_DECISIONS, find: '.filter((id) => !isFrom(from, id))', replace: '' }],
    profiles: ['clean-up'],
  },
  {
    name: 'clean-up-drops-savepoints',
    what: 'savepoints are dropped like checkpoints: there is nothing to go back to',
    edits: [
      { file: CLEAN_UP_DECISIONS, find: "kind === 'savepoint' || !dropped", replace: '!dropped' },
      { file: CLEAN_UP_DECISIONS, find: "checkpointId <= completed && kind !== 'savepoint'", replace: 'checkpointId <= completed' },
    ],
    profiles: ['clean-up'],
  },
  {
    name: 'clean-up-drops-without-the-record',
    what: 'checkpoints are dropped without a word in the job record: a restore may have begun with one',
    edits: [{ file: CLEAN_UP, find: 'decideDrop(record, upTo, attempt, savepoints))', replace: "({ kind: 'keep' }))" }],
    profiles: ['clean-up'],
  },
  {
    name: 'timers-in-the-tail-overlooked',
    what: 'where keys come into memory on demand, those of timers that were committed behind the base do not',
    edits: [{ file: DUE_KEYS, find: 'new ListSource(tail.sort(compareDue))', replace: 'new ListSource([])' }],
  },
  {
    name: 'overdue-timers-overlooked',
    what: 'a timer that was late when it was written stands in the index by a time that nobody asks for any more',
    edits: [{ file: 'runtime/state/segment-writer.ts', find: 'this.options.isOverdue(info.name, key, namespace, time)', replace: 'false' }],
    kinds: ['timers'],
  },
  {
    name: 'keys-loaded-without-the-tail',
    what: 'a key that comes into memory has what its base says, without what was committed since',
    edits: [
      {
        file: 'runtime/state/key-loader.ts',
        find: 'for (const key of keys) this.tail.each',
        replace: 'for (const key of keys.slice(0, 0)) this.tail.each',
      },
    ],
  },
  {
    name: 'watermark-passes-unloaded-timers',
    what: 'a watermark fires the timers that are in memory and passes',
    edits: [{ file: 'runtime/state/timer-queue.ts', find: 'if (beyond?.mayHave(to) !== true)', replace: 'if (beyond !== this)' }],
  },
  {
    name: 'watermark-passes-unloaded-windows',
    what: 'a watermark fires the windows that are in memory and passes',
    edits: [
      {
        file: 'runtime/operators/window/plain-window-operator.ts',
        find: 'if (beyond?.mayHave(watermark) !== true)',
        replace: 'if (Number(beyond) !== 1)',
      },
    ],
  },
  {
    name: 'changes-of-others-into-a-part',
    what: "others' changes are applied to a memory that does not hold all keys",
    edits: [{ file: 'runtime/task/stage-memory.ts', find: 'commits === undefined || !live.state.holdsWholeState', replace: 'commits === undefined' }],
  },
  {
    name: 'base-from-a-part-of-memory',
    what: 'a base says that what is in memory is all there is',
    edits: [
      {
        file: 'runtime/task/keyed-base.ts',
        find: 'if (!inMemory.holdsWholeState) return false',
        replace: 'if (Number(inMemory) === 1) return false',
      },
    ],
  },
  {
    name: 'wake-up-forgets-what-is-not-in-memory',
    what: 'nobody is woken up for a timer of the clock that is not in memory',
    edits: [{ file: 'runtime/task/live-stage.ts', find: 'timers?.beyond?.nextTime ?? next', replace: 'next' }],
  },
]

export function mutantNamed(name: string): Mutant | undefined {
  return MUTANTS.find((mutant) => mutant.name === name)
}

/** The text with the mutant's edits. Throws when one does not fit. */
export function applyMutant(name: string, edits: readonly Edit[], text: string): string {
  let changed = text
  for (const { file, find, replace } of edits) {
    const places = changed.split(find).length - 1
    if (places !== 1) throw new Error(`The mutant "${name}" looks for a text that is ${places} times in ${file}: ${find}`)
    changed = changed.replace(find, () => replace)
  }
  return changed
}
