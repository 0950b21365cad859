import {
  type CheckpointedFunction,
  type DataStream,
  defineJob,
  type KeyTypes,
  kinesisSource,
  ListStateDescriptor,
  type MapFunction,
  run,
  type Sink,
  utf8Line,
  WatermarkStrategy,
} from 'millrace'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CONTROL_TIMEOUT_MS } from '../../functions/control-timeout.js'
import { awsClients, DynamoDbCommitLog } from '../../runtime/backends/aws/index.js'
import { readJob } from '../../runtime/task/job-log.js'
import { DeployedStack, type DeployOutcome, type StackRevision } from './deployed-stack.js'
import { AwsImitation } from './imitation.js'

interface Tally {
  readonly key: string
  readonly n: number
}

let aws: AwsImitation
let stack: DeployedStack
let delivered: Tally[]
let produced: Record<string, number>

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 })
  start()
})
afterEach(() => {
  stop()
  vi.useRealTimers()
})

function start(): void {
  aws = new AwsImitation()
  stack = new DeployedStack(aws, 'count', 'words-stream', 2)
  delivered = []
  produced = {}
}

function stop(): void {
  aws.restore()
  stack.lambda.restore()
}

const sink: Sink<Tally, never> = {
  name: 'delivered',
  createWriter: () => ({ write: (tally) => void delivered.push(tally), prepareCommit: () => [], close: () => {} }),
}

let poisoned = false

function tallies(words: DataStream<string>): DataStream<Tally> {
  return words
    .map((key): Tally => ({ key, n: 1 }))
    .keyBy(({ key }) => key)
    .reduce((a, b) => ({ key: a.key, n: a.n + b.n }))
    .uid('sum')
}

/** What the job comes to in one process, where nothing is deployed. */
async function embedded(): Promise<Record<string, number>> {
  const words = Object.entries(produced).flatMap(([word, n]) => Array.from({ length: n }, () => word))
  const deployed = delivered
  delivered = []
  try {
    const counting = defineJob('count', (env) => void tallies(env.fromElements(...words)).sinkTo(sink))
    await (await run(counting, { threads: 0 })).result()
    return most()
  } finally {
    delivered = deployed
  }
}

const nowhere: Sink<Tally, never> = {
  name: 'nowhere',
  createWriter: () => ({ write: () => {}, prepareCommit: () => [], close: () => {} }),
}

/** Counts words; with another operator behind it, when `marked`, and one with state, when `more`. */
function counting(marked: boolean, more?: string, fails = () => false, source = 'words') {
  return defineJob('count', (env) => {
    const words = env.fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks<string>()).uid(source)
    const counted = tallies(words)
      .filter(() => {
        if (fails()) throw new Error('poison')
        return true
      })
      .uid('checked')
    const shown = marked ? counted.map((tally) => tally).uid('marked') : counted
    if (more !== undefined) {
      const keyed = counted.keyBy(({ key }) => key)
      keyed
        .reduce((a) => a)
        .uid(more)
        .sinkTo(nowhere)
        .uid('nowhere')
    }
    shown.sinkTo(sink).uid('delivered')
  })
}

const A: StackRevision = { revision: 'aaaa', job: counting(false), parallelism: 1 }
const B: StackRevision = { revision: 'bbbb', job: counting(true), parallelism: 3 }

function produce(): void {
  const words = ['a', 'b', 'c', 'd']
  for (const [shard, word] of [words[Math.floor(Date.now() / 1_000) % 4], 'e'].entries()) {
    aws.produce('words-stream', shard, [word])
    produced[word] = (produced[word] ?? 0) + 1
  }
}

function total(): number {
  return Object.values(produced).reduce((a, b) => a + b)
}

function most(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { key, n } of delivered) counts[key] = Math.max(counts[key] ?? 0, n)
  return counts
}

async function underLoad(): Promise<void> {
  stack.meanwhile = produce
  for (let i = 0; i < 5; i++) {
    produce()
    await stack.pump()
  }
}

/** Calls for a question whose answer is known. */
const ASKED_AGAIN = 5

/** Every call in turn takes two minutes; each commit tries some. */
const STRIDE = process.env.MILLRACE_EVERY_CALL === undefined ? 5 : 1

/** What the control function asks of AWS, and whether it is answered. */
class Calls {
  made = 0
  /** From which call on, counted from 1, and how many fail. */
  failFrom = Number.POSITIVE_INFINITY
  failures = 0
  /** It was done all the same. */
  afterwards = false

  constructor() {
    aws.onCall = () => this.#call(false)
    aws.afterPutItem = () => this.#call(true)
    stack.lambda.onCall = (_call, when) => this.#call(when === 'after')
  }

  #call(after: boolean): void {
    if (!stack.controlled || after !== this.afterwards) return
    this.made++
    if (this.made < this.failFrom || this.made >= this.failFrom + this.failures) return
    throw Object.assign(new Error('the service is not there'), { name: 'ServiceUnavailable' })
  }
}

/** Deploys A, then B while it works; `calls` fail as they say during the second deployment. */
async function upgrade(fail: Partial<Calls>): Promise<{ readonly outcome: DeployOutcome; readonly calls: Calls }> {
  await stack.deploy(A)
  await underLoad()
  const calls = Object.assign(new Calls(), fail)
  const outcome = await stack.deploy(B)
  return { outcome, calls }
}

describe('a deployed job', () => {
  it('begins, goes on as another revision with another parallelism, and back', async () => {
    expect(await stack.deploy(A)).toEqual({ status: 'deployed' })
    await underLoad()
    expect(await stack.deploy(B)).toEqual({ status: 'deployed' })
    await underLoad()
    expect(await stack.deploy(A)).toEqual({ status: 'deployed' })
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
    expect(await embedded()).toEqual(produced)
    expect(delivered).toHaveLength(total())
  })
  it.each([false, true])('is upgraded though any call fails once, after it was done: %s', { timeout: 600_000 }, async (afterwards) => {
    const { made } = (await upgrade({ afterwards })).calls
    expect(made).toBeGreaterThan(40)
    for (let failFrom = 1; failFrom <= made; failFrom += STRIDE) {
      stop()
      start()
      const { outcome } = await upgrade({ afterwards, failFrom, failures: 1 })
      expect(outcome, `call ${failFrom}`).toEqual({ status: 'deployed' })
      await underLoad()
      await stack.rest()
      expect(most(), `call ${failFrom}`).toEqual(produced)
    }
  })
  it('goes back to the revision before, from whatever call on nothing is answered', { timeout: 600_000 }, async () => {
    const { made } = (await upgrade({})).calls
    expect(made).toBeGreaterThan(80)
    for (let failFrom = 1; failFrom <= made; failFrom += STRIDE) {
      stop()
      start()
      stack.patience = 3
      stack.rollingBack = () => {
        stack.patience = 400
        aws.onCall = undefined
        stack.lambda.onCall = undefined
      }
      const { outcome } = await upgrade({ failFrom, failures: Number.POSITIVE_INFINITY })
      // It had come to its end, and only the question that is asked once more was not answered.
      if (outcome.status === 'deployed' && failFrom > made - 2 * ASKED_AGAIN) continue
      expect(outcome, `call ${failFrom}`).toEqual({ status: 'rolled-back', why: 'Operation timed out' })
      await underLoad()
      if (failFrom % 3 === 1) expect(await stack.deploy(B), `call ${failFrom}`).toEqual({ status: 'deployed' })
      await stack.rest()
      expect(most(), `call ${failFrom}`).toEqual(produced)
    }
  })
  it('is not touched by what is deployed again', async () => {
    await stack.deploy(A)
    await underLoad()
    const before = aws.count('PutItem', '#job')
    const calls = new Calls()
    expect(await stack.deploy(A)).toEqual({ status: 'deployed' })
    expect(aws.count('PutItem', '#job')).toBe(before)
    // Each time it was asked: the lease, taken and given back, and what it reads.
    expect(calls.made).toBe(2 * ASKED_AGAIN)
  })

  it('reads by other settings when only these have changed', async () => {
    await stack.deploy(A)
    await underLoad()
    expect(await stack.deploy({ ...A, batchSize: 7 })).toEqual({ status: 'deployed' })
    expect([...stack.lambda.mappings.values()]).toMatchObject([{ batchSize: 7, state: 'Enabled' }])
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
    expect(delivered).toHaveLength(total())
  })

  it('goes back with what it has done meanwhile, when something else of the stack fails', async () => {
    await stack.deploy(A)
    await underLoad()
    stack.restOfStack = () => {
      stack.restOfStack = () => {}
      throw new Error('no such topic')
    }
    expect(await stack.deploy(B)).toEqual({ status: 'rolled-back', why: 'no such topic' })
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
    // Nothing was done twice: the newer revision stopped with a savepoint of its own.
    expect(delivered).toHaveLength(total())
  })

  it('goes back to where it stood when what the newer revision knows has no place in it', async () => {
    await stack.deploy(A)
    await underLoad()
    stack.restOfStack = () => {
      stack.restOfStack = () => {}
      throw new Error('no such topic')
    }
    expect(await stack.deploy({ ...B, job: counting(true, 'more') })).toEqual({ status: 'rolled-back', why: 'no such topic' })
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
  })

  it('refuses a revision that would lose state, before anything is stopped', async () => {
    await stack.deploy({ ...A, job: counting(false, 'more') })
    await underLoad()
    const control = aws.count('PutItem', '#job')
    const outcome = await stack.deploy(B)
    expect(outcome).toMatchObject({ status: 'rolled-back' })
    expect(outcome).toMatchObject({ why: expect.stringContaining("drop it on purpose with allowStateLoss: ['more']") })
    expect(aws.count('PutItem', '#job')).toBe(control)
    expect(await stack.deploy({ ...B, allowStateLoss: ['more'] })).toEqual({ status: 'deployed' })
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
  })

  it.each(['TRIM_HORIZON', 'LATEST'] as const)(
    'reads no more from a source that is gone, and from a new one as it is to begin: %s',
    async (start) => {
      await stack.deploy({ ...A, start })
      await underLoad()
      await stack.rest()
      stack.meanwhile = () => {}
      const before = { ...produced }
      const [from, renamed] = [Date.now(), counting(true, undefined, undefined, 'other-words')]
      expect(await stack.deploy({ ...B, job: renamed, allowStateLoss: ['words'], start })).toEqual({ status: 'deployed' })
      const [mapping, ...others] = stack.lambda.mappings.values()
      expect([mapping.functionArn, others]).toEqual([expect.stringContaining(':other-words:attempt-'), []])
      expect([...stack.lambda.aliases.keys()]).toEqual([mapping.functionArn])
      if (start === 'TRIM_HORIZON') expect(mapping.start).toBe('TRIM_HORIZON')
      else expect([Number(mapping.start) >= from, Number(mapping.start) <= Date.now()]).toEqual([true, true])
      await underLoad()
      await stack.rest()
      // The oldest records come once more, to a state that has them.
      const again = start === 'TRIM_HORIZON' ? before : {}
      expect(most()).toEqual(Object.fromEntries(Object.entries(produced).map(([word, n]) => [word, n + (again[word] ?? 0)])))
    },
  )

  it('refuses a revision that would lose operator state, which no plan shows, before anything is stopped', async () => {
    const kept = new ListStateDescriptor<number>('kept')
    const keeping: MapFunction<string, string> & CheckpointedFunction = {
      map: (word) => word,
      initializeState: (context) => void context.getListState(kept),
      snapshotState: (context) => context.getListState(kept).update([1]),
    }
    const job = defineJob('count', (env) => {
      const words = env.fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks<string>()).uid('words')
      tallies(words.map(keeping).uid('keep')).sinkTo(sink).uid('delivered')
    })
    await stack.deploy({ ...A, job })
    await underLoad()
    await stack.rest()
    await stack.checkpoint()
    const control = aws.count('PutItem', '#job')
    const outcome = await stack.deploy(B)
    expect(outcome).toMatchObject({ status: 'rolled-back', why: expect.stringContaining('"keep"') })
    expect(aws.count('PutItem', '#job')).toBe(control)
    expect(await stack.deploy({ ...B, allowStateLoss: ['keep'] })).toEqual({ status: 'deployed' })
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
  })

  describe('whose keys are of another type', () => {
    const keyed = (key: (tally: Tally) => unknown, types?: KeyTypes) =>
      defineJob('count', (env) => {
        const words = env.fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks<string>()).uid('words')
        words
          .map((word): Tally => ({ key: word, n: 1 }))
          .keyBy(key, types)
          .reduce((a, b) => ({ key: a.key, n: a.n + b.n }))
          .uid('sum')
          .sinkTo(sink)
          .uid('delivered')
      })
    const byText = (tally: Tally) => tally.key
    const byNumber = (tally: Tally) => tally.key.charCodeAt(0)

    async function counted(): Promise<void> {
      await stack.deploy({ ...A, job: keyed(byText) })
      await underLoad()
      await stack.rest()
      await stack.checkpoint()
    }

    it('is refused before anything is stopped when it says so', async () => {
      await counted()
      const control = aws.count('PutItem', '#job')
      const outcome = await stack.deploy({ ...B, job: keyed(byNumber, 'number') })
      expect(outcome).toMatchObject({ status: 'rolled-back', why: expect.stringContaining('there is state under keys of type string') })
      expect(aws.count('PutItem', '#job')).toBe(control)
    })

    it('counts nothing under such keys, also where records that fail are put aside', async () => {
      await counted()
      stack.meanwhile = () => {}
      await stack.deploy({ ...B, job: keyed(byNumber), failingRecords: 'dead-letter' })
      const before = delivered.length
      produce()
      for (let i = 0; i < 20; i++) await stack.pump()
      expect(delivered).toHaveLength(before)
      expect(stack.logged.some((line) => line.includes('KEY_TYPE') && line.includes('the state that was restored has keys of type string'))).toBe(
        true,
      )
    })

    it('goes on when it says that they are of both types', async () => {
      await counted()
      expect(await stack.deploy({ ...B, job: keyed((tally) => (tally.key === 'e' ? 5 : tally.key), ['number', 'string']) })).toEqual({
        status: 'deployed',
      })
      produce()
      await stack.rest()
      const { e, ...others } = most()
      expect(others).toEqual(Object.fromEntries(Object.entries(produced).filter(([word]) => word !== 'e')))
      expect(e).toBeLessThan(produced.e)
    })

    it('may have keys of more types than when it was deployed first', async () => {
      await stack.deploy({ ...A, job: keyed((tally) => (total() < 8 ? tally.key : byNumber(tally))) })
      await underLoad()
      await stack.rest()
      expect(most().e).toBeLessThan(produced.e)
      expect(delivered).toHaveLength(total())
    })
  })

  it('goes on when it cannot be stopped, and the deployment fails with the reason', { timeout: 120_000 }, async () => {
    await stack.deploy({ ...A, job: counting(false, undefined, () => poisoned) })
    await underLoad()
    poisoned = true
    produce()
    await stack.pump()
    const outcome = await stack.deploy(B)
    expect(outcome).toMatchObject({ status: 'rolled-back', why: expect.stringContaining('it was not complete after 600000 ms') })
    poisoned = false
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
    expect(await stack.deploy(B)).toEqual({ status: 'deployed' })
    await stack.rest()
    expect(most()).toEqual(produced)
  })

  it('keeps the savepoints that somebody asked for, and of those of deployments the newest', async () => {
    await stack.deploy(A)
    await underLoad()
    const asked = (await stack.control({ step: 'begin', input: { kind: 'savepoint' } })) as { readonly checkpointId: number }
    while (((await stack.control({ step: 'poll', checkpointId: asked.checkpointId })) as { readonly status: string }).status === 'pending')
      await stack.pump()
    const job = async () => (await readJob({ log: new DynamoDbCommitLog(awsClients().dynamo, 'table') }, 'count'))?.record
    const made: (number | undefined)[] = []
    for (const revision of [B, A, B, A]) {
      expect(await stack.deploy(revision)).toEqual({ status: 'deployed' })
      made.push((await job())?.from?.checkpointId)
    }
    await stack.control({ step: 'tick', subtasks: 'all' })
    const { checkpoints } = (await stack.control({ command: 'checkpoints' })) as { readonly checkpoints: readonly { readonly id: number }[] }
    expect(checkpoints.map(({ id }) => id).sort((a, b) => a - b)).toEqual([asked.checkpointId, ...made.slice(-2)])
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
  })

  describe('that cannot be stopped', () => {
    const poisonable: StackRevision = { ...A, job: counting(false, undefined, () => poisoned) }
    const healed: StackRevision = { ...B, upgradeMode: 'last-state' }

    async function broken(saves = true): Promise<void> {
      await stack.deploy(poisonable)
      await underLoad()
      await stack.rest()
      if (saves) await stack.checkpoint()
      await underLoad()
      poisoned = true
      for (let i = 0; i < 5; i++) {
        produce()
        await stack.pump()
      }
    }
    afterEach(() => {
      poisoned = false
    })

    it('is upgraded from its last checkpoint', async () => {
      await broken()
      const before = delivered.length
      expect(await stack.deploy(healed)).toEqual({ status: 'deployed' })
      await underLoad()
      await stack.rest()
      expect(most()).toEqual(produced)
      // What it had counted behind the checkpoint came again.
      expect(delivered.length).toBeGreaterThan(total())
      expect(delivered.length).toBeLessThan(total() + before)
      expect(await stack.deploy(A)).toEqual({ status: 'deployed' })
      await stack.rest()
      expect(most()).toEqual(produced)
    })

    it('has a checkpoint completed by the revision that took it, when that was about to be', async () => {
      await broken(false)
      poisoned = false
      const begun = (await stack.control({ step: 'begin', input: {} })) as { readonly checkpointId: number }
      await stack.rest()
      aws.onCall = (call, on) => {
        if (call === 'PutObject' && on.endsWith('/manifest.json')) throw Object.assign(new Error('slower'), { name: 'ServiceUnavailable' })
      }
      await expect(stack.control({ step: 'poll', checkpointId: begun.checkpointId })).rejects.toThrow()
      aws.onCall = undefined
      const job = async () => (await readJob({ log: new DynamoDbCommitLog(awsClients().dynamo, 'table') }, 'count'))?.record
      expect((await job())?.pending).toMatchObject({ id: begun.checkpointId, completing: true })
      const asked: unknown[] = []
      const call = stack.lambda.call.bind(stack.lambda)
      stack.lambda.call = (arn, event) => {
        if (arn.endsWith(':control:aaaa')) asked.push(event)
        return call(arn, event)
      }
      expect(await stack.deploy(healed)).toEqual({ status: 'deployed' })
      expect(asked).toEqual([{ step: 'poll', checkpointId: begun.checkpointId }])
      expect((await job())?.from).toEqual({ checkpointId: begun.checkpointId, savepoint: false })
      await stack.rest()
      expect(most()).toEqual(produced)
    })

    it('is upgraded from nothing when it has never saved anything', async () => {
      await broken(false)
      expect(await stack.deploy(healed)).toEqual({ status: 'deployed' })
      await stack.rest()
      expect(most()).toEqual(produced)
    })

    it('reads what came since it was deployed when it began at the end of the stream', async () => {
      produce()
      const old = { ...produced }
      await stack.pump()
      await stack.deploy({ ...poisonable, start: 'LATEST' })
      await underLoad()
      poisoned = true
      produce()
      await stack.pump()
      expect(await stack.deploy({ ...healed, start: 'LATEST' })).toEqual({ status: 'deployed' })
      await stack.rest()
      const since = Object.entries(produced).map(([word, n]) => [word, n - (old[word] ?? 0)] as const)
      // It may begin a minute before, and so have the older ones, too.
      for (const [word, n] of since) {
        expect(most()[word] ?? 0, word).toBeGreaterThanOrEqual(n)
        expect(most()[word] ?? 0, word).toBeLessThanOrEqual(produced[word])
      }
    })

    it('goes on from what it was restored from, not from a newer checkpoint of the time before', async () => {
      await stack.deploy(poisonable)
      await underLoad()
      await stack.rest()
      const id = await stack.checkpoint()
      await underLoad()
      await stack.rest()
      await stack.checkpoint()
      stack.meanwhile = () => {}
      for (;;) {
        const answer = (await stack.control({ command: 'restore', checkpointId: id, request: 'once' })) as { readonly status: string }
        if (answer.status === 'done') break
        await stack.pump()
      }
      const job = async () => (await readJob({ log: new DynamoDbCommitLog(awsClients().dynamo, 'table') }, 'count'))?.record
      expect((await job())?.last).toEqual({ checkpointId: id, savepoint: false })
      expect(await stack.deploy(healed)).toEqual({ status: 'deployed' })
      expect((await job())?.from).toEqual({ checkpointId: id, savepoint: false })
      await stack.rest()
      expect(most()).toEqual(produced)
    })

    it('goes back when the upgrade fails, from whatever call on', { timeout: 600_000 }, async () => {
      await broken()
      const counted = new Calls()
      await stack.deploy(healed)
      const { made } = counted
      expect(made).toBeGreaterThan(40)
      for (let failFrom = 1; failFrom <= made; failFrom += 2 * STRIDE + 1) {
        stop()
        start()
        poisoned = false
        await broken()
        stack.patience = 3
        stack.rollingBack = () => {
          stack.patience = 400
          aws.onCall = undefined
          stack.lambda.onCall = undefined
        }
        Object.assign(new Calls(), { failFrom, failures: Number.POSITIVE_INFINITY })
        const outcome = await stack.deploy(healed)
        if (outcome.status === 'deployed' && failFrom > made - 2 * ASKED_AGAIN) continue
        expect(outcome, `call ${failFrom}`).toEqual({ status: 'rolled-back', why: 'Operation timed out' })
        poisoned = false
        await underLoad()
        await stack.rest()
        expect(most(), `call ${failFrom}`).toEqual(produced)
      }
    })

    it('says so when it was to be stopped', { timeout: 120_000 }, async () => {
      await broken()
      expect(await stack.deploy(B)).toMatchObject({ status: 'rolled-back', why: expect.stringContaining("upgradeMode: 'last-state'") })
    })
  })

  it('leaves nothing that reads when the stack is deleted, and goes on from its last checkpoint when it comes back', async () => {
    await stack.deploy(A)
    await underLoad()
    await stack.rest()
    await stack.checkpoint()
    await underLoad()
    await stack.delete()
    expect(stack.lambda.mappings.size + stack.lambda.aliases.size).toBe(0)
    produce()
    expect(await stack.deploy(B)).toEqual({ status: 'deployed' })
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
  })

  it('refuses to come back without a checkpoint, and says what there is to do', async () => {
    await stack.deploy(A)
    await underLoad()
    await stack.delete()
    expect(await stack.deploy(B)).toMatchObject({ status: 'rolled-back', why: expect.stringContaining('another id') })
  })

  it('answers an event again that it has answered, also while another is at work', async () => {
    await stack.deploy(A)
    await underLoad()
    stack.repeats = 2
    expect(await stack.deploy(B)).toEqual({ status: 'deployed' })
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
    expect(delivered).toHaveLength(total())
  })

  it('waits with whatever is asked of it in the midst of a step of another invocation', async () => {
    await stack.deploy(A)
    await underLoad()
    const answers: unknown[] = []
    const call = stack.lambda.call.bind(stack.lambda)
    stack.lambda.call = async (arn, event) => {
      if ((event as { readonly step?: string }).step === 'activate') {
        const control = stack.controlled
        answers.push(await stack.control({ command: 'restore', checkpointId: 1, request: 'now' }))
        stack.controlled = control
      }
      return call(arn, event)
    }
    expect(await stack.deploy(B)).toEqual({ status: 'deployed' })
    expect(answers).toEqual([{ status: 'under-way', why: 'another invocation is at work' }])
    await underLoad()
    await stack.rest()
    expect(most()).toEqual(produced)
    expect(delivered).toHaveLength(total())
  })

  it('answers before the time of the function is over though a step hangs, and comes to its end with it', async () => {
    await stack.deploy(A)
    await underLoad()
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: Date.now() })
    let goOn: (() => void) | undefined
    const call = stack.lambda.call.bind(stack.lambda)
    stack.lambda.call = async (arn, event) => {
      const hangs = goOn === undefined && (event as { readonly step?: string }).step === 'activate'
      if (hangs) {
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
      }
      return call(arn, event)
    }
    let answers = 0
    stack.meanwhile = () => {
      answers++
      goOn?.()
    }
    const deployed = stack.deploy(B)
    while (goOn === undefined) await vi.advanceTimersByTimeAsync(1)
    const before = answers
    await vi.advanceTimersByTimeAsync(CONTROL_TIMEOUT_MS - 21_000)
    expect(answers).toBe(before)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(answers).toBeGreaterThan(before)
    expect(await deployed).toEqual({ status: 'deployed' })
    await stack.rest()
    expect(most()).toEqual(produced)
  })

  it('begins at the end of the stream if it is to', async () => {
    produce()
    const before = { ...produced }
    await stack.pump()
    await stack.deploy({ ...A, start: 'LATEST' })
    await underLoad()
    await stack.deploy({ ...B, start: 'LATEST' })
    await underLoad()
    await stack.rest()
    const since = Object.entries(produced).map(([word, n]) => [word, n - (before[word] ?? 0)] as const)
    expect(most()).toEqual(Object.fromEntries(since.filter(([, n]) => n > 0)))
  })

  it('misses nothing that comes while the mapping of its first activation is being made', async () => {
    produce()
    const before = { ...produced }
    await stack.pump()
    stack.meanwhile = produce
    await stack.deploy({ ...A, start: 'LATEST' })
    expect(total()).toBeGreaterThan(2)
    await stack.rest()
    const since = Object.entries(produced).map(([word, n]) => [word, n - (before[word] ?? 0)] as const)
    expect(most()).toEqual(Object.fromEntries(since.filter(([, n]) => n > 0)))
    expect([...stack.lambda.mappings.values()].map(({ start }) => typeof start)).toEqual(['number'])
  })

  describe('restored from one of its checkpoints', () => {
    async function restore(checkpointId: number, request = 'once'): Promise<{ readonly status: string; readonly why?: string }> {
      for (;;) {
        const answer = (await stack.control({ command: 'restore', checkpointId, request })) as { readonly status: string }
        if (answer.status !== 'under-way') return answer
        produce()
        await stack.pump()
      }
    }

    async function checkpointed(): Promise<number> {
      await stack.deploy(A)
      await underLoad()
      await stack.rest()
      const id = await stack.checkpoint()
      // Behind the margin of times of arrival, so that the source's mapping does not just begin at the beginning.
      for (let i = 0; i < 90; i++) {
        produce()
        await stack.pump()
      }
      return id
    }

    it('counts what came behind it again', async () => {
      const id = await checkpointed()
      const before = delivered.length
      expect(await restore(id)).toMatchObject({ status: 'done' })
      // The same wish again, when the answer was lost.
      expect(await restore(id)).toMatchObject({ status: 'done' })
      const [mapping] = stack.lambda.mappings.values()
      expect(stack.lambda.mappings.size).toBe(1)
      expect(mapping.start).toBeGreaterThan(0)
      await stack.rest()
      expect(most()).toEqual(produced)
      expect(delivered.length - before).toBeGreaterThan(180)
      await underLoad()
      expect(await stack.deploy(B)).toEqual({ status: 'deployed' })
      await stack.rest()
      expect(most()).toEqual(produced)
    })

    it('goes back to a savepoint, however many checkpoints behind it have been cleaned up', async () => {
      await stack.deploy(A)
      await underLoad()
      const asked = (await stack.control({ step: 'begin', input: { kind: 'savepoint' } })) as { readonly checkpointId: number }
      await stack.rest()
      expect(await stack.control({ step: 'poll', checkpointId: asked.checkpointId })).toMatchObject({ status: 'completed' })
      const ids: number[] = []
      for (let i = 0; i < 5; i++) {
        produce()
        await stack.rest()
        ids.push(await stack.checkpoint())
      }
      await stack.control({ step: 'tick', subtasks: 'all' })
      expect(await restore(ids[0], 'cleaned up')).toMatchObject({ status: 'failed', why: expect.stringContaining('has been cleaned up') })
      expect(await restore(asked.checkpointId)).toMatchObject({ status: 'done' })
      await stack.rest()
      expect(most()).toEqual(produced)
    })

    it('goes on as it was when there is no such checkpoint', async () => {
      await checkpointed()
      expect(await restore(77)).toMatchObject({ status: 'failed', why: expect.stringContaining('CHECKPOINT_NOT_FOUND') })
      await underLoad()
      expect(await stack.deploy(B)).toEqual({ status: 'deployed' })
      await stack.rest()
      expect(most()).toEqual(produced)
      expect(delivered).toHaveLength(total())
    })

    it('is deployed from there, when a deployment comes while it is being restored', async () => {
      const id = await checkpointed()
      const answer = await stack.control({ command: 'restore', checkpointId: id, request: 'left alone' })
      expect(answer).toMatchObject({ status: 'under-way' })
      expect(await stack.deploy(B)).toEqual({ status: 'deployed' })
      expect(await restore(id, 'left alone')).toMatchObject({ status: 'done' })
      await stack.rest()
      expect(most()).toEqual(produced)
    })

    it('refuses while a deployment is under way', async () => {
      const id = await checkpointed()
      let answer: unknown
      stack.meanwhile = () => {}
      stack.asking = async () => {
        answer ??= await stack.control({ command: 'restore', checkpointId: id, request: 'now' })
      }
      expect(await stack.deploy(B)).toEqual({ status: 'deployed' })
      expect(answer).toEqual({ status: 'failed', why: 'revision "bbbb" is being deployed' })
    })

    it('whichever call fails once', { timeout: 600_000 }, async () => {
      const calls = async (fail: Partial<Calls>) => {
        const id = await checkpointed()
        const made = Object.assign(new Calls(), fail)
        expect(await restore(id)).toMatchObject({ status: 'done' })
        await stack.rest()
        expect(most(), `call ${fail.failFrom}`).toEqual(produced)
        return made.made
      }
      const made = await calls({})
      expect(made).toBeGreaterThan(40)
      for (let failFrom = 1; failFrom <= made; failFrom += 2 * STRIDE + 1) {
        stop()
        start()
        await calls({ failFrom, failures: 1, afterwards: failFrom % 2 === 0 })
      }
    })
  })
})
