import { type JobGraph, vertexOf } from '../runtime/plan/index.js'
import { subtaskLogName } from '../runtime/task/stage-names.js'
import type { Job, Revision } from './job.js'
import { MOST_CLOCK_OFF_MS } from './program.js'

/** A checkpoint that was to begin at `askedAtMs` was not: every subtask is as the last one has it, but for what was committed meanwhile. */
export function checkUnchanged(job: Job, checkpointId: number, askedAtMs: number): void {
  const { record, observer, world } = job
  if (record === undefined || !world.options.checked) return
  const prefix = logPrefix(job.revision)
  for (const [log, { record: head, changedAtMs }] of observer.logs) {
    if (!log.startsWith(prefix) || head?.attempt !== record.attempt || head.life === 'retired') continue
    const unchanged = head.life === 'ended' ? head.epoch < checkpointId : head.epoch >= checkpointId
    world.checks.hold(
      '6',
      changedAtMs >= askedAtMs || (unchanged && head.life === 'ended'),
      () => `${log}: no checkpoint behind ${checkpointId}, and something was committed at ${changedAtMs}, epoch ${head.epoch}, ${head.life}`,
    )
  }
}

/** The job runs, and nothing waits anywhere (invariant 8). */
export function checkRest(job: Job): void {
  const { record, world } = job
  world.checks.hold('8', record?.phase === 'running' && record.pending === null, () => `${job.name}: the job record is ${JSON.stringify(record)}`)
  checkArrived(job, 'at the end')
}

/** What was committed has been sent, and what was sent has been taken (invariant 8). */
export function checkArrived(job: Job, when: string): void {
  const { record, observer, world } = job
  if (record === undefined) return
  const { graph, deployment } = job.revision
  for (const [log, { version, attempt, missing }] of observer.logs) {
    if (!log.startsWith(logPrefix(job.revision)) || attempt !== record.attempt) continue
    world.checks.hold('8', missing.size === 0, () => `${log}, ${when}: ${[...missing].join(', ')} of version ${version} has not been sent`)
  }
  const head = (stage: string, subtask: string) => observer.logs.get(subtaskLogName(deployment, stage, subtask))
  for (const { index, from, to } of graph.edges) {
    const senders = record.sources[from] === undefined ? indexes(graph, from) : Object.keys(record.sources[from])
    for (const sender of senders) {
      for (const receiver of indexes(graph, to)) {
        const sent = head(from, sender)?.nextSeq.get(`${record.attempt}|${index}:${sender}:${receiver}`)
        if (sent === undefined) continue
        const taken = head(to, receiver)?.record?.channels[`${index}:${sender}`]?.next
        world.checks.hold(
          '8',
          taken === sent,
          () => `${job.name}, ${when}: ${to}/${receiver} has taken channel ${index}:${sender} up to ${taken}, sent is up to ${sent}`,
        )
      }
    }
  }
}

/** Logs of which a tick that begins now finds that the outbox of the head may not have arrived, with the version of that. */
export function unsentLogs({ record, observer, revision, world }: Job): ReadonlyMap<string, number> {
  const unsent = new Map<string, number>()
  for (const [log, { version, attempt, record: head, missing }] of observer.logs) {
    if (!log.startsWith(logPrefix(revision)) || head === undefined || attempt !== record?.attempt || head.life === 'retired') continue
    const settledMs = world.now - Math.max(head.lastNow, head.base.atMs) - world.settings.settleMs
    if (missing.size > 0 && settledMs >= MOST_CLOCK_OFF_MS) unsent.set(log, version)
  }
  return unsent
}

/** A tick that has begun at `sinceMs` pokes whoever has not sent what it committed: nothing else may ever come for it (invariant 8). */
export function checkTicked(job: Job, unsent: ReadonlyMap<string, number>, sinceMs: number, pokedAtMs: ReadonlyMap<string, number>): void {
  for (const [log, version] of unsent) {
    const facts = job.observer.logs.get(log)
    if (facts?.version !== version || facts.missing.size === 0) continue
    const poked = (pokedAtMs.get(log) ?? Number.NEGATIVE_INFINITY) >= sinceMs
    job.world.checks.hold('8', poked, () => `${log}: a tick passes it by, ${[...facts.missing].join(', ')} of version ${version} has not been sent`)
  }
}

/** As of a commit: event time of no input is behind all the channels into it that are not idle. */
export function checkWatermarks(job: Job, log: string): void {
  const record = job.observer.logs.get(log)?.record
  if (record === undefined || record.sweep !== null || record.kind === 'RESET' || record.life === 'retired') return
  const channels = Object.entries(record.channels)
  if (channels.length === 0) return
  const revision = job.revisions.find((each) => log.startsWith(logPrefix(each)))
  const least = new Map<number, number>()
  for (const [name, { watermark, idle, successors }] of channels) {
    const input = revision?.graph.edges.find((edge) => edge.index === Number.parseInt(name, 10))?.input
    if (input === undefined || (successors !== null && successors.length === 0) || idle) continue
    least.set(input, Math.min(least.get(input) ?? Number.POSITIVE_INFINITY, watermark))
  }
  for (const [input, watermark] of least) {
    const combined = record.inputs[input]?.watermark ?? Number.POSITIVE_INFINITY
    job.world.checks.hold('9', combined >= watermark, () => `${log}: input ${input} is at ${combined}, its channels are at ${watermark}`)
  }
}

/** Of the logs of all its subtasks. */
function logPrefix({ deployment }: Revision): string {
  return subtaskLogName(deployment, '', '').slice(0, -1)
}

function indexes(graph: JobGraph, stage: string): string[] {
  return Array.from({ length: vertexOf(graph, stage).parallelism }, (_, index) => String(index))
}
