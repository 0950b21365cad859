import { join } from 'node:path'
import { defineJob, type KeyedProcessFunction, kinesisSource, run, utf8Line, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openControlServer } from '../../cli/control-server.js'
import { status } from '../../cli/job-commands.js'
import { namespaceTest } from '../../cli/state-rows.js'
import { reasonsOf, whyNotFiredCommand } from '../../cli/why-not-fired.js'
import type { JobStatusAnswer } from '../../functions/control-status.js'
import type { WhyChannel, WhyNotFiredAnswer, WhySubtask } from '../../functions/control-why.js'
import type { MetricsSnapshot, OperatorMetricsSnapshot } from '../../runtime/local/run-options.js'
import { tempFolder } from '../backends/temp-folder.js'
import { Gate, gatedSource } from '../local/gated-source.js'
import { until } from '../local/run-job.js'
import { DeployedWorld, NOW } from './deployed-world.js'
import { FakeHandle, metricsOf } from './fake-handle.js'
import { savedVisits } from './saved-visits.js'
import { tally } from './tally-job.js'
import { WrittenOutput } from './written-output.js'

/** At an element of event time t two timers: 5 s behind t, and so much behind the present. */
function reminding(behindMs: number) {
  return {
    state: { seen: new ValueStateDescriptor<boolean>('seen') },
    processElement(_value: unknown, { state, timestamp, timerService }) {
      state.seen.update(true)
      timerService.registerEventTimeTimer((timestamp ?? 0) + 5_000)
      timerService.registerProcessingTimeTimer(timerService.currentProcessingTime() + behindMs)
    },
  } satisfies KeyedProcessFunction<unknown, unknown, never, { seen: ValueStateDescriptor<boolean> }>
}

const COUNT = { stack: 'shop', uid: 'count' }

describe('of a deployed job', () => {
  let world: DeployedWorld

  beforeEach(async () => {
    world = await DeployedWorld.of(tally, 2)
  })
  afterEach(() => world.end())

  it('names the split that is silent', async () => {
    await world.produce(0, 'a 100', 'a 112')
    vi.setSystemTime(NOW + 125_000)
    await whyNotFiredCommand(undefined, { ...COUNT, key: 'a' })
    expect(world.said().split('\n')).toEqual([
      'count (stage count), key "a": running',
      expect.stringMatching(/^ {2}subtask [01]: watermark -, last commit 2 min 5 s ago$/),
      '    from words shardId-000000000000: watermark 1970-01-01T00:01:51.999Z',
      '    from words shardId-000000000001: watermark -, holds the others back',
      '  pending: window 1970-01-01T00:01:40.000Z to 1970-01-01T00:01:50.000Z fires when the watermark reaches 1970-01-01T00:01:49.999Z',
      '  pending: window 1970-01-01T00:01:50.000Z to 1970-01-01T00:02:00.000Z fires when the watermark reaches 1970-01-01T00:01:59.999Z',
      'why:',
      expect.stringMatching(/^ {2}- Subtask [01] has no watermark yet, and the next is due at 1970-01-01T00:01:49.999Z.$/),
      '  - words shardId-000000000001 holds it back: it has sent no watermark yet, has had no record for 2 min 5 s at least, and is not idle.',
      '  - If it may be silent while others are not, let its watermark strategy have withIdleness(…).',
      '',
    ])
  })

  it('tells how far the watermark has to go, for one window', async () => {
    await world.produce(0, 'a 100', 'a 112')
    await world.produce(1, 'b 105')
    await whyNotFiredCommand(undefined, { ...COUNT, key: 'a', window: namespaceTest('[110000,120000]'), json: true })
    const { key, reasons, subtasks } = world.json<WhyNotFiredAnswer & { reasons: string[] }>()
    expect(key?.timers).toEqual([{ time: 'event', atMs: 119_999, namespace: [110_000, 120_000] }])
    expect(reasons[0]).toMatch(
      /^Subtask [01]: the watermark 1970-01-01T00:01:44.999Z has 15 s of event time to go: the next is due at 1970-01-01T00:01:59.999Z\.$/,
    )
    expect(reasons[1]).toMatch(
      /^words shardId-000000000001 holds it back: it is at watermark 1970-01-01T00:01:44.999Z, had its last records 0.0 s ago/,
    )
    expect(subtasks[0].heldBy).toMatchObject([{ stage: 'words', subtask: 'shardId-000000000001', isSource: true, lastBatchAtMs: NOW }])
  })

  it('counts what is pending when no key is named', async () => {
    await world.produce(0, 'a 100', 'b 101', 'a 112', 'c 113')
    await whyNotFiredCommand(undefined, { ...COUNT, json: true })
    const { subtasks } = world.json<WhyNotFiredAnswer>()
    expect(subtasks).toHaveLength(2)
    expect(subtasks.reduce((sum, { timers }) => sum + (timers?.event.count ?? 0), 0)).toBe(4)
    expect(Math.min(...subtasks.map(({ timers }) => timers?.event.nextMs ?? Number.POSITIVE_INFINITY))).toBe(109_999)
    await whyNotFiredCommand(undefined, COUNT)
    expect(world.said()).toMatch(/subtask 0: watermark -, last commit .*, \d event timers and 0 processing timers pending/)
  })

  it('says of a key of which nothing is kept that nothing can fire', async () => {
    await world.produce(0, 'a 100')
    await whyNotFiredCommand(undefined, { ...COUNT, key: 'zebra' })
    expect(world.said()).toContain('  - Nothing is kept of this key: no record with it has come')
    await world.produce(0, 'a 130')
    await world.produce(1, 'a 131')
    // The first window has fired; that of the newest words is pending.
    await whyNotFiredCommand(undefined, { ...COUNT, key: 'a', window: namespaceTest('100000') })
    expect(world.said()).toContain('  - State is kept of this key, but no timer or window is pending that is meant.')
  })

  async function takeNext(line: string): Promise<void> {
    world.aws.produce(world.deployed.stream('words'), 0, [line])
    await world.deployed.invokeNext('words', 0, 10)
  }

  async function channelsOf(subtask: string): Promise<readonly WhyChannel[]> {
    await whyNotFiredCommand(undefined, { ...COUNT, json: true })
    return world.json<WhyNotFiredAnswer>().subtasks.find((one) => one.subtask === subtask)?.channels ?? []
  }

  it('tells of frames that wait behind a barrier which other channels have not reached', async () => {
    await world.produce(0, 'a 100')
    const id = await world.deployed.beginCheckpoint()
    await world.deployed.poke('words', 'shardId-000000000000')
    await takeNext('a 101')
    while (await world.deployed.invokeNext('count', 0, 10));
    expect(await channelsOf('0')).toEqual([
      expect.objectContaining({ subtask: 'shardId-000000000000', waiting: 2, missing: null, behindBarrier: id, ended: false }),
      expect.objectContaining({ subtask: 'shardId-000000000001', waiting: 0, missing: null, behindBarrier: null, ended: false }),
    ])
  })

  it('tells of frames that wait for one before them, until that has come', async () => {
    await takeNext('a 100')
    await takeNext('a 101')
    const between = world.aws.shard(world.deployed.stream('count'), 0)
    const [first, second] = between.map(({ data }) => data)
    // As a put may go that fails at first.
    for (const [index, data] of [second, first].entries()) between[index] = { ...between[index], data }
    await world.deployed.invokeNext('count', 0, 1)
    const waits = (await channelsOf('0'))[0]
    expect(waits).toMatchObject({ subtask: 'shardId-000000000000', waiting: 1, missing: 1, behindBarrier: null, watermark: null })
    await status(undefined, { stack: 'shop', json: true })
    const { stages } = world.json<JobStatusAnswer>()
    expect(stages[1].subtasks.map(({ stash }) => stash)).toEqual([
      { frames: 1, bytes: expect.any(Number), gaps: 1 },
      { frames: 0, bytes: 0, gaps: 0 },
    ])
    await world.deployed.run(10)
    expect((await channelsOf('0'))[0]).toMatchObject({ waiting: 0, missing: null, watermark: 100_999 })
  })

  it('says that the job is stopped', async () => {
    await world.deployed.control({ step: 'begin', input: { kind: 'stop' } })
    await world.deployed.run(10)
    await whyNotFiredCommand(undefined, { ...COUNT, key: 'a' })
    expect(world.said()).toContain('  - Subtask')
    await world.deployed.poll(1)
    await whyNotFiredCommand(undefined, COUNT)
    expect(world.said()).toMatch(/why:\n {2}- The job is stopped: nothing fires until it goes on \(millrace start\)\.\n$/)
  })

  it('refuses what is no operator, or not keyed', async () => {
    await expect(whyNotFiredCommand(undefined, { ...COUNT, uid: 'counts' })).rejects.toThrow(
      /no operator with the uid "counts"\n[\s\S]*"words", "parse", "count", "out"/,
    )
    await expect(whyNotFiredCommand(undefined, { ...COUNT, uid: 'parse', key: 'a' })).rejects.toThrow(/OPTION_INVALID: operator "parse" is not keyed/)
    await expect(whyNotFiredCommand(undefined, { ...COUNT, window: namespaceTest('0') })).rejects.toThrow(/--window needs a key/)
  })
})

describe('of a deployed job that sets timers', () => {
  const reminders = defineJob('tally', (env) => {
    env
      .fromSource(
        kinesisSource({ stream: 'words', deserialize: utf8Line }),
        WatermarkStrategy.forBoundedOutOfOrderness<string>(0).withTimestampAssigner((line) => Number(line.split(' ')[1]) * 1_000),
      )
      .uid('words')
      .keyBy((line) => line.split(' ')[0])
      .process(reminding(60_000))
      .uid('remind')
      .sinkTo({ name: 'out', createWriter: () => ({ write: () => {}, prepareCommit: () => [], close: () => {} }) })
      .uid('out')
  })
  let world: DeployedWorld

  beforeEach(async () => {
    world = await DeployedWorld.of(reminders)
  })
  afterEach(() => world.end())

  it('tells those of event time and those of processing time apart', async () => {
    const remind = { stack: 'shop', uid: 'remind' }
    await world.produce(0, 'a 100', 'b 101')
    await whyNotFiredCommand(undefined, { ...remind, key: 'a', json: true })
    const { key, subtasks } = world.json<WhyNotFiredAnswer>()
    expect(key).toMatchObject({
      key: 'a',
      timers: [
        { time: 'event', atMs: 105_000, namespace: null },
        { time: 'processing', atMs: NOW + 60_000, namespace: null },
      ],
      rows: 1,
    })
    expect(subtasks).toMatchObject([{ wakeAtMs: NOW + 60_000, committedAtMs: NOW, firing: false }])
    await whyNotFiredCommand(undefined, { ...remind, json: true })
    expect(world.json<WhyNotFiredAnswer>().subtasks[0].timers).toEqual({
      event: { count: 2, nextMs: 105_000 },
      processing: { count: 2, nextMs: NOW + 60_000 },
    })
    vi.setSystemTime(NOW + 20_000)
    await whyNotFiredCommand(undefined, { ...remind, key: 'a' })
    const said = world.said()
    expect(said).toContain('  pending: timer fires when the watermark reaches 1970-01-01T00:01:45.000Z\n')
    expect(said).toContain('  pending: timer fires at 2026-03-01T12:01:00.000Z, in 40 s\n')
    expect(said).toContain('  - Subtask 0: the next processing timer is in 40 s (2026-03-01T12:01:00.000Z) of processing time.\n')
    // Fired, it is not pending any more.
    vi.setSystemTime(NOW + 60_000)
    await world.deployed.poke('remind', '0')
    await whyNotFiredCommand(undefined, { ...remind, json: true })
    expect(world.json<WhyNotFiredAnswer>().subtasks[0].timers).toMatchObject({ event: { count: 2 }, processing: { count: 0, nextMs: null } })
  })
})

describe('the reasons', () => {
  const channel: WhyChannel = {
    input: 0,
    stage: 'words',
    subtask: '0',
    watermark: 5_000,
    idle: false,
    ended: false,
    holds: true,
    waiting: 0,
    missing: null,
    behindBarrier: null,
  }
  const subtask: WhySubtask = {
    subtask: '0',
    life: 'running',
    watermark: 5_000,
    idle: false,
    committedAtMs: NOW,
    firing: false,
    wakeAtMs: null,
    timers: { event: { count: 1, nextMs: 9_000 }, processing: { count: 0, nextMs: null } },
    channels: [channel],
    heldBy: [],
  }
  const answerOf = (over: Partial<WhySubtask>, whole: Partial<WhyNotFiredAnswer> = {}): WhyNotFiredAnswer => ({
    job: 'tally',
    uid: 'count',
    stage: 'count',
    phase: 'running',
    timeMs: NOW,
    key: null,
    subtasks: [{ ...subtask, ...over }],
    ...whole,
  })

  it.each([
    ['a missing frame', { channels: [{ ...channel, waiting: 2, missing: 7 }] }, /^Frame 7 from words 0 has not come, and 2 behind it wait/m],
    ['a barrier', { channels: [{ ...channel, waiting: 1, behindBarrier: 3 }] }, /^What comes from words 0 waits for checkpoint 3/m],
    ['idle channels', { channels: [{ ...channel, idle: true }] }, /^All that it reads from is idle/m],
    ['timers that fire now', { firing: true }, /^Subtask 0 is firing timers at this moment/m],
    [
      'a watermark that is there',
      { watermark: 9_000 },
      /^Subtask 0: the watermark has reached 1970-01-01T00:00:09.000Z, so it fires with the next commit/m,
    ],
    ['the end of all input', { watermark: 'end' }, /so it fires with the next commit/],
    [
      'nothing pending',
      { timers: { event: { count: 0, nextMs: null }, processing: { count: 0, nextMs: null } } },
      /^Subtask 0 has nothing pending\.$/m,
    ],
    [
      'a processing timer to come',
      { timers: { event: { count: 0, nextMs: null }, processing: { count: 1, nextMs: NOW + 30_000 } } },
      /^Subtask 0: the next processing timer is in 30 s \(2026-03-01T12:00:30.000Z\) of processing time\.$/m,
    ],
    [
      'a processing timer that is due',
      { timers: { event: { count: 0, nextMs: null }, processing: { count: 1, nextMs: NOW - 1_000 } } },
      /due for 1.0 s .* and fires with the next commit or poke/,
    ],
    [
      'a way through several stages',
      {
        heldBy: [
          { stage: 'sum', subtask: '1', isSource: false, life: 'running', watermark: 5_000, idle: false, lastBatchAtMs: NOW, baseAtMs: NOW },
          { stage: 'words', subtask: 's0', isSource: true, life: 'none', watermark: null, idle: false, lastBatchAtMs: null, baseAtMs: null },
        ],
      },
      /^It is held back through sum 1, from words s0\.\nwords s0 has not begun\.$/m,
    ],
  ] satisfies [string, Partial<WhySubtask>, RegExp][])('tell of %s', (_what, over, wanted) => {
    expect(reasonsOf(answerOf(over)).join('\n')).toMatch(wanted)
  })

  it('tell of a job that does not run', () => {
    expect(reasonsOf(answerOf({}, { phase: 'restoring' }))).toEqual(['The job is being restored: nothing fires until that is done.'])
    expect(reasonsOf(answerOf({}, { phase: 'never-activated', subtasks: [] }))[0]).toContain('never activated')
  })
})

describe('of an embedded job', () => {
  let dir: string
  let output: WrittenOutput

  beforeEach(async () => {
    dir = await tempFolder()
  })
  afterEach(() => {
    output.end()
  })

  class Watched extends FakeHandle {
    override async metrics(): Promise<MetricsSnapshot> {
      return metricsOf({
        timeMs: NOW,
        operators: [
          operator('words', 0, NOW - 5_000),
          operator('words', 1, NOW - 65_000),
          operator('visits', 0, NOW - 60_000),
          operator('gate', 0, null),
        ],
      })
    }
  }

  function operator(uid: string, subtask: number, watermark: number | null): OperatorMetricsSnapshot {
    const counts = { recordsIn: 12, recordsOut: 3, bytesIn: 0, bytesOut: 0, late: 0, stateEntries: 4, checkpointBytes: 0 }
    return { uid, name: uid, vertex: uid, subtask, ...counts, watermark, watermarkLagMs: null, counters: {}, gauges: {} }
  }

  it('shows the timers that were pending in the newest checkpoint', async () => {
    const gate = new Gate()
    const job = defineJob('bids', (env) => {
      env
        .fromSource(gatedSource(gate), WatermarkStrategy.forMonotonousTimestamps())
        .keyBy(() => 'ann')
        .process(reminding(3_600_000))
        .uid('gate')
        .collect('out')
    })
    gate.openTo(1)
    const handle = await run(job, { checkpointDir: dir, checkpointIntervalMs: 0, threads: 0 })
    await until(() => gate.emitted === 1)
    await handle.stop()
    const server = await openControlServer(join(dir, 'control.json'), 'bids')
    const running = new Watched()
    running.metrics = async () => metricsOf({ timeMs: Date.now(), operators: [operator('gate', 0, 2_000)] })
    server.attach(running)
    output = new WrittenOutput()
    await whyNotFiredCommand(dir, { uid: 'gate', key: 'ann' })
    const said = output.said()
    expect(said).toContain('    timer fires when the watermark reaches 1970-01-01T00:00:05.000Z\n')
    expect(said).toMatch(/^ {4}timer fires at 20\d\d-\S+Z$/m)
    expect(said).toContain('  - Subtask 0: the watermark 1970-01-01T00:00:02.000Z has 3.0 s of event time to go.\n')
    expect(said).toMatch(/^ {2}- The next processing timer is due in (60|59) min/m)
    await server.close()
  })

  it('names whose watermark is least, and what was pending in the newest checkpoint', async () => {
    const folder = await savedVisits(dir, [['ann', 'home']])
    const server = await openControlServer(join(folder, 'control.json'), 'bids')
    server.attach(new Watched())
    output = new WrittenOutput()
    await whyNotFiredCommand(folder, { uid: 'visits', key: 'ann' })
    const said = output.said().split('\n')
    expect(said[0]).toBe('visits of bids: running')
    expect(said[1]).toBe('  subtask 0  watermark 2026-03-01T11:59:00.000Z  60 s behind  12 in  3 out  4 state entries')
    expect(said[2]).toMatch(/^ {2}as of .*chk-1, .*: nothing pending of the key$/)
    expect(said.slice(3)).toEqual([
      'why:',
      '  - Nothing was pending of the key when the newest checkpoint was taken.',
      '  - The least watermark, 2026-03-01T11:58:55.000Z, is that of words [words] #1 (12 records in).',
      '  - Without a watermark of their own: gate [gate] #0 (12 records in).',
      '  - A source or split that is silent holds the others back, unless its watermark strategy has withIdleness(…).',
      '',
    ])
    await whyNotFiredCommand(folder, { uid: 'visits', json: true })
    expect(output.json()).toMatchObject({ job: 'bids', uid: 'visits', slower: [{ uid: 'words', subtask: 1 }], silent: [{ uid: 'gate' }] })
    await whyNotFiredCommand(join(folder, 'control.json'), { uid: 'visits', key: 'ann' })
    expect(output.said()).toContain('What is pending of the key is not known: a control file does not say where checkpoints are.')
    await expect(whyNotFiredCommand(folder, { uid: 'visit' })).rejects.toThrow(/no operator with the uid "visit"\n[\s\S]*"words", "visits", "gate"/)
    await server.close()
  })
})
