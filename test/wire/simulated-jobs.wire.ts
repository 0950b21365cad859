import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Chance } from '../../simulation/chance.js'
import { generateJob, type JobKind, judge } from '../../simulation/jobs/index.js'
import { FaultProxy, type Intercept, jsonError } from './fault-proxy.js'
import { SimulatedRun } from './simulated-run.js'
import { servers } from './wire.js'

/** What happens to the job between its records. */
interface Scenario {
  readonly kind: JobKind
  readonly seed: number
  /** `restore`: it goes on from the checkpoint once more has been put and some of it processed. `reshard`: before that, and once more behind it. */
  readonly steps: readonly ('restore' | 'reshard')[]
}

/** Streams here never end, and nobody waits for the clock: `bounded` and `processing-time` are left out. */
const SAMPLE: readonly Scenario[] = [
  { kind: 'tumbling', seed: 1, steps: ['restore'] },
  { kind: 'session', seed: 2, steps: ['reshard'] },
  { kind: 'window-all', seed: 3, steps: ['restore', 'reshard'] },
  { kind: 'late', seed: 4, steps: [] },
  { kind: 'interval-join', seed: 5, steps: ['restore'] },
  { kind: 'co-process', seed: 6, steps: ['reshard'] },
  { kind: 'keyed-state', seed: 7, steps: ['restore', 'reshard'] },
  { kind: 'timers', seed: 8, steps: ['restore'] },
  { kind: 'broadcast', seed: 9, steps: ['reshard'] },
  { kind: 'operator-state', seed: 10, steps: ['restore'] },
  { kind: 'union', seed: 11, steps: ['restore', 'reshard'] },
  { kind: 'three-stage', seed: 12, steps: ['reshard'] },
]

/** What Lambda does to the functions, and how often. */
const FAULTS = { duplicate: 0.1, splitRetry: 0.3, loseAnswer: 0.1, reDeliverOld: 0.05 }
const COLD = 0.2
/** Of requests to the log and the streams. */
const FAILING = 0.02

let dynamodb: FaultProxy
let kinesis: FaultProxy

beforeAll(async () => {
  dynamodb = await FaultProxy.open(servers.dynamodb)
  kinesis = await FaultProxy.open(servers.kinesis)
})
afterEach(() => {
  for (const proxy of [dynamodb, kinesis]) proxy.requests.length = 0
})
afterAll(() => Promise.all([dynamodb.close(), kinesis.close()]))

/** Requests fail before they are done, or afterwards, when nobody hears that they were. */
function failing(chance: Chance): Intercept {
  return async (request, forward) => {
    if (!chance.happens(FAILING)) return forward(request)
    const how = chance.pick(['refused', 'cut', 'lost'] as const)
    if (how === 'refused') return jsonError(500, 'InternalServerError')
    if (how === 'lost') await forward(request)
    return 'cut'
  }
}

async function runOf({ kind, seed, steps }: Scenario): Promise<SimulatedRun> {
  const chance = new Chance(seed, 'faults')
  for (const proxy of [dynamodb, kinesis]) proxy.intercept = failing(chance)
  const run = await SimulatedRun.begin(generateJob(new Chance(seed, 'job'), { kinds: [kind] }), chance, {
    endpoints: { dynamodb: dynamodb.url, kinesis: kinesis.url },
    faults: FAULTS,
    batchSize: chance.between(2, 20),
    comesCold: () => chance.happens(COLD),
  })
  const { job, outputs } = run
  await run.put(1 / 3)
  // A restore undoes what was written behind the cut: there is nothing of the kind if all is at rest.
  if (steps.includes('restore')) await job.run()
  const checkpointId = await job.checkpoint()
  await job.run()
  const asOfCheckpoint = outputs.count
  if (steps.includes('reshard')) await run.reshard()
  await run.put(2 / 3)
  await job.poll(chance.below(6))
  if (steps.includes('restore')) {
    await job.restore(checkpointId)
    outputs.undoBehind(asOfCheckpoint)
  }
  if (steps.includes('reshard')) await run.reshard()
  await run.put(1)
  await run.putLastWords()
  await job.run()
  await job.control({ step: 'tick', subtasks: 'all' })
  await job.run()
  return run
}

describe("the simulation's jobs on real protocols", () => {
  it.each(SAMPLE)('$kind with the seed $seed makes what it should, through $steps', async (scenario) => {
    const run = await runOf(scenario)
    expect(await judge(run.generated, await run.facts())).toEqual([])
    expect(run.outputs.count).toBeGreaterThan(0)
  })
})
