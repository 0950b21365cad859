/**
 * The exactly-once proof: a job reads a growing file into windows and files while its process is killed with SIGKILL again and
 * again, at random moments and in the middle of checkpoints, and started again from its last checkpoint, at the same or another
 * parallelism. In the end every window must be in the output once, with the count that the input gives.
 *
 *   node scripts/kill-test/main.mjs [--kills 50] [--parallelism 1|2|mixed] [--seed N] [--interval 150] [--keep]
 *
 * Prints a JSON summary; exit code 1 when anything is lost, doubled or wrong, or when too few kills hit a running checkpoint.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { AccessWriter } from './access-writer.mjs'
import { JobProcess } from './job-process.mjs'
import { seededRandom } from './random.mjs'
import { compareResults, finishedFiles } from './results.mjs'

/** Share of the kills that must have hit a running checkpoint. */
const CHECKPOINT_SHARE = 0.3

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    parallelism: { type: 'string', default: 'mixed' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    interval: { type: 'string', default: '150' },
    keep: { type: 'boolean', default: false },
  },
})
const kills = Number(values.kills)
const seed = Number(values.seed)
const parallelisms = values.parallelism === 'mixed' ? [1, 2] : [Number(values.parallelism)]
if (![kills, seed, Number(values.interval), ...parallelisms].every((n) => Number.isInteger(n) && n >= 0) || parallelisms[0] < 1) {
  console.error('kill-test: --kills, --seed and --interval take whole numbers, --parallelism a whole number or mixed')
  process.exit(2)
}

const random = seededRandom(seed)
const folder = await mkdtemp(join(tmpdir(), 'millrace-kill-test-'))
const input = join(folder, 'access.log')
const output = join(folder, 'out')
const writer = new AccessWriter(input, random)

/** Kill moments: inside a checkpoint, at any time, right before the commits of a checkpoint, and while they happen. */
const MOMENTS = {
  async checkpoint(job) {
    if (await job.waitFor('checkpoint-started', 1 + Math.floor(random() * 5), 10_000)) await wait(random() * 4)
  },
  async anytime() {
    await wait(100 + random() * 1_400)
  },
  async beforeCommit(job) {
    await job.exited
  },
  async commit(job) {
    if (await job.waitFor('checkpoint-completed', 1 + Math.floor(random() * 4), 10_000)) await wait(random() * 2)
  },
}
const ORDER = ['checkpoint', 'beforeCommit', 'checkpoint', 'anytime', 'checkpoint', 'commit']

function startJob(round, more = {}) {
  return new JobProcess({
    ...more,
    input,
    output,
    checkpoints: join(folder, 'checkpoints'),
    interval: values.interval,
    parallelism: parallelisms[round % parallelisms.length],
  })
}

const problems = []
const runs = { checkpointsCompleted: 0, killsInCheckpoint: 0, restores: 0 }
let finished = []

function note(job) {
  runs.checkpointsCompleted += job.events.filter((event) => event.kind === 'checkpoint-completed').length
  runs.restores += job.events.filter((event) => event.kind === 'restored').length
}

async function killOnce(round) {
  const moment = ORDER[round % ORDER.length]
  const job = startJob(round, moment === 'beforeCommit' ? { 'die-after-checkpoint': 1 + Math.floor(random() * 3) } : {})
  await MOMENTS[moment](job)
  const { signal, code } = await job.kill()
  note(job)
  if (job.failure !== undefined || signal === null)
    problems.push(`round ${round} (${moment}) ended by itself (exit code ${code}): ${job.failure ?? job.stderr}`)
  else if (job.checkpointWasRunning) runs.killsInCheckpoint++
  const now = await finishedFiles(output)
  const vanished = finished.filter((name) => !now.includes(name))
  if (vanished.length > 0) problems.push(`round ${round}: committed files vanished: ${vanished.join(', ')}`)
  finished = now
}

/** The input is complete: one more run reads to its end and drains. */
async function finish(round) {
  const job = startJob(round)
  // Two checkpoints in a row without news from the file: everything has been read.
  await job.waitFor('checkpoint-completed', 3, 20_000)
  await wait(500)
  job.drain()
  const timeUp = setTimeout(() => job.kill(), 60_000)
  const { code, signal } = await job.exited
  clearTimeout(timeUp)
  note(job)
  if (code !== 0) problems.push(`the last run ended with ${signal ?? `exit code ${code}`}: ${job.failure ?? job.stderr}`)
}

const startedAt = Date.now()
writer.start()
for (let round = 0; round < kills && problems.length === 0; round++) await killOnce(round)
writer.end()
if (problems.length === 0) await finish(kills)

const { windows, files, differences } = await compareResults(input, output)
const enoughInCheckpoint = runs.killsInCheckpoint >= Math.floor(kills * CHECKPOINT_SHARE)
if (!enoughInCheckpoint) problems.push(`only ${runs.killsInCheckpoint} of ${kills} kills hit a running checkpoint`)
if (windows === 0) problems.push('nothing was written that could have been lost')
const counts = Object.fromEntries(Object.entries(differences).map(([kind, list]) => [kind, list.length]))
const ok = problems.length === 0 && Object.values(counts).every((count) => count === 0)
const examples = Object.fromEntries(Object.entries(differences).map(([kind, list]) => [kind, list.slice(0, 5)]))
console.log(
  JSON.stringify(
    {
      ok,
      seed,
      kills,
      parallelism: values.parallelism,
      ...runs,
      lines: writer.lines,
      windows,
      files,
      ...counts,
      seconds: (Date.now() - startedAt) / 1_000,
      problems,
      ...(ok ? {} : { examples, folder }),
    },
    undefined,
    2,
  ),
)
if (ok && !values.keep) await rm(folder, { recursive: true, force: true })
else console.error(`kill-test: the files are in ${folder}`)
process.exitCode = ok ? 0 : 1
