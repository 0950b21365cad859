import { assert } from '../core/index.js'
import type { KeyRange, Successor } from '../ports/index.js'
import { CommitBudget } from './commit-budget.js'
import type { LiveStage } from './live-stage.js'
import type { StreamRecord } from './record-stream-source.js'
import type { SplitStart } from './split-start.js'
import type { Step } from './stage-commit.js'
import type { Memory } from './stage-memory.js'
import type { StagePorts } from './stage-ports.js'
import type { StageSettings } from './stage-settings.js'
import type { Work } from './stage-subtask.js'

export interface StepPlace {
  readonly subtask: string
  readonly ports: StagePorts
  readonly settings: StageSettings
  readonly splits: SplitStart
}

/** What the subtask does in memory for one commit, up to a budget or a cut; undefined when there is nothing to do. */
export async function takeStep(place: StepPlace, { head, control, live }: Memory, work: Work): Promise<Step | undefined> {
  if (head.life === 'ended') return undefined
  if (head.life === 'stopped') {
    if (control.aborted < head.epoch) return undefined
    place.ports.count('stop-undone')
    return { progressed: true, kind: 'CTL', resumed: true, more: true }
  }
  return live.input === undefined ? readSource(place, { live, control }, work) : receive(place, { live, control }, work)
}

type StepMemory = Pick<Memory, 'live' | 'control'>

async function readSource({ subtask, ports, settings, splits }: StepPlace, { live, control }: StepMemory, work: Work): Promise<Step | undefined> {
  if (control.begun > live.epoch && control.begun > control.aborted) {
    ports.count('cut-source')
    if (control.stop) ports.count('stopped')
    return { progressed: true, kind: 'CTL', cut: { epoch: control.begun, stop: control.stop }, more: work.kind !== 'poke' }
  }
  if (control.begun > live.epoch) ports.count('cut-skipped-aborted')
  if (work.kind !== 'batch') {
    const successors = work.kind === 'end' ? await splits.successors() : await splits.ifDrained(live.position)
    if (successors !== undefined) return endSplit(ports, live, successors)
    live.endOfBatch()
    return { progressed: false, kind: 'CTL', more: false }
  }
  const keys = await keysOf(subtask, ports, live, work.records)
  const budget = new CommitBudget(ports.clock, settings, live)
  let taken = 0
  let more = false
  for (const record of work.records) {
    if (live.position !== undefined && record.position <= live.position) continue
    // What lies before a record that fails is committed first, so that each try comes further.
    if (budget.spent || (taken > 0 && live.failures.failedBefore(record))) {
      ports.count('commit-by-budget')
      more = true
      break
    }
    const read = live.readRecord(record, keys)
    live.position = record.position
    budget.spend(read, record.data.length)
    taken++
  }
  if (taken === 0) return undefined
  live.endOfBatch()
  return { progressed: true, kind: 'BATCH', more }
}

/** Asked for once, and only where a producer packs records: a packed record holds what its producer believed to be of this split. */
async function keysOf(subtask: string, { streams }: StagePorts, live: LiveStage, records: readonly StreamRecord[]): Promise<KeyRange | undefined> {
  const { packing, stream } = live.source?.source ?? {}
  if (packing === undefined || stream === undefined || !records.some(({ data }) => packing.isPacked(data))) return undefined
  live.keys ??= { range: await streams.keyRange?.(stream, subtask) }
  return live.keys.range
}

function endSplit(ports: StagePorts, live: LiveStage, successors: readonly Successor[]): Step {
  ports.count('split-ended')
  live.endInput(successors.length === 0)
  return { progressed: true, kind: 'CTL', end: { successors }, more: false }
}

async function receive({ ports, settings, subtask }: StepPlace, { live, control }: StepMemory, work: Work): Promise<Step | undefined> {
  const input = live.input
  assert(input !== undefined, 'a stage without source has inputs')
  const before = live.position
  const budget = new CommitBudget(ports.clock, settings, live)
  const drain = async () => {
    let result = input.drain(control.aborted, budget)
    while (await live.settle((ms) => ports.pause(ms))) result = input.drain(control.aborted, budget)
    return result
  }
  let drained = await drain()
  for (const { position, data } of work.kind === 'batch' ? work.records : []) {
    if (drained.kind === 'interrupted' || drained.cut !== undefined) break
    if (live.position !== undefined && position <= live.position) continue
    live.position = position
    if (input.accept(data, `record ${position} of subtask ${subtask}`)) drained = await drain()
  }
  const kind = live.position === before ? 'CTL' : 'BATCH'
  const progressed = input.consumed + input.accepted > 0 || kind === 'BATCH'
  if (drained.kind === 'interrupted') {
    ports.count('commit-by-budget')
    return { progressed: true, kind, more: true }
  }
  if (drained.cut !== undefined) {
    ports.count('cut-aligned')
    if (drained.cut.stop) ports.count('stopped')
    // Behind a cut there may be more in the batch, or frames that waited for it.
    return { progressed: true, kind, cut: drained.cut, more: true }
  }
  if (input.allEnded) {
    ports.count('subtask-ended')
    live.endInput(true)
    await live.settle((ms) => ports.pause(ms))
    return { progressed: true, kind, end: { successors: [] }, more: false }
  }
  await live.state.loadDueTimers()
  live.endOfBatch()
  await live.state.lookAhead()
  return { progressed, kind, more: live.sweep.pending }
}
