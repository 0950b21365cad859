import type { DeployedStage, StageLoad } from '../cost/deployed-bill.js'
import { writeUnits } from '../cost/units.js'
import type { JobRecord } from '../runtime/checkpoint/job-record.js'
import type { LogItem } from '../runtime/ports/index.js'
import { type CommitRecord, decodeCommit, type Part } from '../runtime/task/commit-record.js'
import { allSubtasks, type JobSubtask } from '../runtime/task/job-subtasks.js'
import { hasSource, subtaskLogName } from '../runtime/task/stage-names.js'
import type { DeployedControl } from './deployed-control.js'
import { type DeployedSettings, readDeployment } from './deployment-record.js'

/** What a deployed job is made of, and what its logs say of the last hour: what `millrace cost` prices. */
export interface UsageAnswer {
  readonly job: string
  readonly revision: string
  /** Null for a job that is not deployed by `StreamJob`. */
  readonly settings: DeployedSettings | null
  /** In topological order. */
  readonly stages: readonly StageUsage[]
}

export interface StageUsage extends DeployedStage {
  /** Of the whole stage, a second. Null: no subtask has committed in the last hour. */
  readonly traffic: StageTraffic | null
}

/** Sums over the subtasks of the stage, a second, with what was looked at. */
export interface StageTraffic extends StageLoad {
  /** Of what its newest commits were looked at, ms: the longest over the subtasks. */
  readonly overMs: number
}

const HOUR_MS = 3_600_000
/** Of each subtask so many commits are looked at: some hundred kilobytes of the table. */
const COMMITS = 100

/** Reads the newest commits of each subtask's log; it changes nothing. Throws LOG_CORRUPT. */
export async function jobUsage(deployed: DeployedControl): Promise<UsageAnswer> {
  const { environment, ports, graph, control } = deployed
  const record = await control.record()
  const { active } = (await readDeployment(ports.log, environment.job, ports.clock.now())).record
  const own = record?.revision === environment.revision ? record : undefined
  const subtasks = own === undefined ? [] : allSubtasks(graph, own)
  const stages = graph.vertices.map(async (vertex): Promise<StageUsage> => {
    const ofStage = subtasks.filter(({ stage }) => stage === vertex.id)
    const seen = own === undefined ? [] : await Promise.all(ofStage.map((subtask) => trafficOf(deployed, own, subtask)))
    const alive = seen.filter((one) => one !== 'over')
    return {
      stage: vertex.id,
      isSource: hasSource(vertex),
      subtasks: hasSource(vertex) ? alive.length : vertex.parallelism,
      sendsTo: graph.edges.filter(({ from }) => from === vertex.id).map(({ to }) => to),
      traffic: sumOf(alive.filter((one) => one !== null)),
    }
  })
  return { job: environment.job, revision: environment.revision, settings: active?.settings ?? null, stages: await Promise.all(stages) }
}

/** `over`: a split that has been read to its end. */
async function trafficOf({ ports }: DeployedControl, record: JobRecord, { stage, subtask }: JobSubtask): Promise<StageTraffic | null | 'over'> {
  const name = subtaskLogName(record, stage, subtask)
  const { item } = await ports.log.head(name)
  if (item === undefined) return null
  if (decodeCommit(name, item).life === 'ended') return 'over'
  const { items } = await ports.log.read(name, Math.max(0, item.version - COMMITS))
  const now = ports.clock.now()
  const looked = items.map((one) => ({ item: one, record: decodeCommit(name, one) }))
  const recent = looked.filter(({ record: { kind, lastNow } }) => kind !== 'RESET' && lastNow >= now - HOUR_MS)
  if (recent.length === 0) return null
  // Before what was looked at there may be more, so it counts from the first of it on. A reset has the time of the commit before it.
  const [{ record: first }] = looked
  const overMs = Math.min(HOUR_MS, Math.max(1_000, now - (first.kind === 'RESET' ? first.base.atMs : first.lastNow)))
  return aSecond(recent, overMs)
}

function aSecond(commits: readonly { readonly item: LogItem; readonly record: CommitRecord }[], overMs: number): StageTraffic {
  const sum = (amountOf: (commit: (typeof commits)[number]) => number) =>
    commits.reduce((total, commit) => total + amountOf(commit), 0) / (overMs / 1_000)
  return {
    overMs,
    commits: sum(() => 1),
    writeUnits: sum(({ item }) => writeUnits(item.payload.length + ITEM_BYTES)),
    writtenBytes: sum(({ item }) => item.payload.length + ITEM_BYTES),
    sending: sum(({ record }) => (record.outbox === null ? 0 : 1)),
    blobs: sum(({ record }) => new Set(blobsOf(record).map(({ name }) => name)).size),
    blobBytes: sum(({ record }) => blobsOf(record).reduce((bytes, part) => bytes + part.bytes, 0)),
  }
}

/** Keys and names of attributes. */
const ITEM_BYTES = 100

function blobsOf({ deltas, operatorChanges, stash, outbox, base }: CommitRecord): Exclude<Part, Uint8Array>[] {
  const parts = [...deltas.map(([, part]) => part), operatorChanges, stash, outbox, base.state]
  return parts.filter((part): part is Exclude<Part, Uint8Array> => part !== null && !(part instanceof Uint8Array))
}

function sumOf(all: readonly StageTraffic[]): StageTraffic | null {
  if (all.length === 0) return null
  const sum = (field: keyof StageTraffic) => all.reduce((total, one) => total + one[field], 0)
  return {
    overMs: Math.max(...all.map(({ overMs }) => overMs)),
    commits: sum('commits'),
    writeUnits: sum('writeUnits'),
    writtenBytes: sum('writtenBytes'),
    sending: sum('sending'),
    blobs: sum('blobs'),
    blobBytes: sum('blobBytes'),
  }
}
