import { readFile, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { deployedSavepoint, deployedStop } from '../../cli/deployed-checkpoints.js'
import { restoreCommand, startCommand } from '../../cli/deployed-restore.js'
import { checkpoints, savepoint, status, stop } from '../../cli/job-commands.js'
import { rescaleCommand } from '../../cli/rescale-command.js'
import { tempFolder } from '../backends/temp-folder.js'
import { DeployedWorld, NOW } from './deployed-world.js'
import { tally } from './tally-job.js'

/** Seconds of the clock, with which attempts begin. */
const ATTEMPT = NOW / 1_000
const SHOP = { stack: 'shop' }
const FAST = { pollMs: 1 }

let world: DeployedWorld

beforeEach(async () => {
  world = await DeployedWorld.of(tally, 2)
})
afterEach(() => world.end())

describe('a deployed job is found', () => {
  it.each([[{ stack: 'shop' }], [{ stack: 'shop', job: 'tally' }], [{ function: 'shop-control' }]])('by %j', async (flags) => {
    await status(undefined, flags)
    expect(world.said()).toContain('tally: running')
  })

  it('among several of a stack, by its name as it is exported', async () => {
    const control = (job: string, name: string) => ({ OutputKey: `x${name}`, OutputValue: name, ExportName: `MillraceControl${job}` })
    world.stacks.set('shop', [control('my-tally', 'shop-control'), control('other', 'other-control'), { OutputKey: 'Url', OutputValue: 'u' }])
    await expect(status(undefined, SHOP)).rejects.toThrow(/several jobs: my-tally, other\n[\s\S]*--job NAME/)
    await expect(status(undefined, { ...SHOP, job: 'third' })).rejects.toThrow(
      /DEPLOYMENT_NOT_FOUND: Stack shop has no job third: it holds my-tally, other/,
    )
    await status(undefined, { ...SHOP, job: 'MyTally' })
    expect(world.said()).toContain('tally: running')
  })

  it('by the name of the job, and by the id of its construct', async () => {
    world.stacks.set('shop', [
      { OutputKey: 'ipcountControl', OutputValue: 'other', Description: 'Control function of job ip-count' },
      { OutputKey: 'PartTallyControl0A1B2C3D', OutputValue: 'shop-control', Description: 'Control function of job tally' },
    ])
    for (const job of ['tally', 'part-tally']) await status(undefined, { ...SHOP, job })
    expect(world.invoked).toHaveLength(2)
    await expect(status(undefined, SHOP)).rejects.toThrow(/several jobs: ip-count, tally/)
  })

  it('or what is missing is said', async () => {
    await expect(status(undefined, { stack: 'shoo' })).rejects.toThrow(/DEPLOYMENT_NOT_FOUND: There is no stack shoo/)
    world.stacks.set('empty', [])
    await expect(status(undefined, { stack: 'empty' })).rejects.toThrow(/Stack empty has no job: none of its outputs/)
    await expect(status(undefined, { function: 'nobody' })).rejects.toThrow(/DEPLOYMENT_NOT_FOUND: There is no function nobody/)
  })

  it('unless two are named, or none', async () => {
    await expect(status(undefined, {})).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    await expect(status('ck', SHOP)).rejects.toThrow(/cannot both be meant/)
    await expect(status(undefined, { ...SHOP, function: 'f' })).rejects.toThrow(/exclude each other/)
    await expect(status('ck', { job: 'tally' })).rejects.toThrow(/Add --stack/)
    await expect(restoreCommand('1', { ...SHOP, function: 'f' })).rejects.toThrow(/exclude each other/)
    await expect(restoreCommand('1', { job: 'tally' })).rejects.toThrow(/Add --stack/)
  })

  it('or what a job in one process has not', async () => {
    await expect(stop('ck', { timeout: 5 })).rejects.toThrow(/OPTION_INVALID: --timeout is for deployed jobs/)
    await expect(savepoint('ck', 'sp', { timeout: 5 })).rejects.toThrow(/--timeout is for deployed jobs/)
    await expect(stop('ck', { drain: true, savepoint: 'sp' })).rejects.toThrow(/--drain and --savepoint exclude each other/)
    await expect(savepoint('ck', undefined, {})).rejects.toThrow(/millrace savepoint DIR PATH/)
    expect(world.invoked).toEqual([])
  })
})

describe('what goes wrong on the way is said', () => {
  it('when the credentials may not', async () => {
    world.onInvoke = () => {
      throw Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' })
    }
    await expect(status(undefined, SHOP)).rejects.toThrow(
      /AWS_CALL: Invoke failed with AccessDeniedException[\s\S]*Allow your credentials lambda:InvokeFunction/,
    )
    world.onInvoke = () => {
      throw Object.assign(new Error('none'), { name: 'CredentialsProviderError' })
    }
    await expect(status(undefined, SHOP)).rejects.toThrow(/Give valid credentials/)
  })

  it('when no region is given', async () => {
    world.onInvoke = () => {
      throw new Error('Region is missing')
    }
    await expect(status(undefined, SHOP)).rejects.toThrow(/Give the region: AWS_REGION/)
  })

  it('when the function itself fails', async () => {
    vi.spyOn(world.deployed, 'options').mockImplementation(() => {
      throw new RangeError('out of memory')
    })
    await expect(status(undefined, SHOP)).rejects.toThrow(/AWS_CALL: the control function failed: RangeError: out of memory\n[\s\S]*CloudWatch/)
  })

  it('when it is asked for what there is not', async () => {
    await expect(savepoint('ck', undefined, {})).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    await expect(stop(undefined, { ...SHOP, drain: true })).rejects.toThrow(/cannot be drained/)
    await expect(stop(undefined, { ...SHOP, savepoint: 'sp' })).rejects.toThrow(/Leave out --savepoint/)
  })

  it('when a request is wrong', async () => {
    const ask = async (request: unknown) => {
      const { controlHandler } = await import('../../functions/control-handler.js')
      return controlHandler(tally, world.deployed.options())(request)
    }
    expect(await ask({ command: 'dance' })).toMatchObject({
      error: { code: 'OPTION_INVALID', message: expect.stringContaining('there is no command "dance"') },
    })
    expect(await ask({ command: 'begin', kind: 'never' })).toMatchObject({
      error: { message: expect.stringContaining('kind of the command "begin" must be one of "checkpoint", "savepoint", "stop", and is "never"') },
    })
    expect(await ask({ command: 'progress' })).toMatchObject({
      error: { message: expect.stringContaining('checkpointId of the command "progress" must be a whole number from 1, and is missing') },
    })
    expect(await ask({ step: 'tick', subtasks: 'sources' })).toMatchObject({ status: 'ticked' })
  })
})

describe('status', () => {
  it('tells of the job, its checkpoints and its subtasks', async () => {
    await world.produce(0, 'a 100', 'b 105')
    vi.setSystemTime(NOW + 2_000)
    await status(undefined, SHOP)
    const lines = world.said().split('\n')
    expect(lines.slice(0, 2)).toEqual([`tally: running, revision 1, attempt ${ATTEMPT}`, '  no checkpoint yet'])
    expect(lines[2]).toBe('stage words (source)  operators words, parse')
    expect(lines[3]).toMatch(
      /^ {2}shardId-0{12} {2}running {2}version 2 {2}epoch 0 {2}watermark 1970-01-01T00:01:44.999Z {2}.* behind {2}last batch 2.0 s ago {2}position \d{56}$/,
    )
    expect(lines[4]).toMatch(/^ {2}shardId-0{11}1 {2}running {2}version 1 .*watermark - .*no batch for 2.0 s +position -$/)
  })

  it('tells who has not acknowledged, and of what waits', async () => {
    await world.produce(0, 'a 100')
    const id = await world.deployed.beginCheckpoint()
    // The first shard's split cuts, the second has not heard of it.
    await world.deployed.poke('words', 'shardId-000000000000')
    await world.deployed.invokeNext('count', 0, 10)
    await produceWithoutRunning(0, 'a 101')
    await status(undefined, { ...SHOP, json: true })
    const found = world.json<{ pending: unknown; stages: { stage: string; subtasks: { subtask: string; epoch: number; stash: unknown }[] }[] }>()
    expect(found.pending).toEqual({
      id,
      kind: 'checkpoint',
      startedAtMs: NOW,
      completing: false,
      needed: 4,
      missing: [
        { stage: 'count', subtask: '0' },
        { stage: 'count', subtask: '1' },
        { stage: 'words', subtask: 'shardId-000000000001' },
      ],
    })
    expect(found.stages.map(({ stage, subtasks }) => [stage, subtasks.map(({ epoch }) => epoch)])).toEqual([
      ['words', [1, 0]],
      ['count', [0, 0]],
    ])
    expect(found.stages[1].subtasks[0].stash).toEqual({ frames: 2, bytes: expect.any(Number), gaps: 0 })
    await status(undefined, SHOP)
    const said = world.said()
    expect(said).toContain('checkpoint 1 in progress for 0.0 s: 1 of 4 have acknowledged, not count 0, count 1, words shardId-000000000001')
    expect(said).toMatch(/^ {2}0 {2}running .* 2 frames wait \(\d+ B\)$/m)
  })

  async function produceWithoutRunning(shard: number, line: string): Promise<void> {
    world.aws.produce(world.deployed.stream('words'), shard, [line])
    await world.deployed.invokeNext('words', shard, 10)
    await world.deployed.invokeNext('count', 0, 10)
  }

  it('tells of a job that is stopped, and of one that was never activated', async () => {
    world.goOnMeanwhile()
    await world.produce(0, 'a 100')
    await deployedStop(SHOP, FAST)
    world.said()
    vi.setSystemTime(NOW + 90_000)
    await status(undefined, SHOP)
    expect(world.said()).toMatch(
      new RegExp(`^tally: stopped, revision 1, attempt ${ATTEMPT}\n {2}last savepoint 1, \\d+ B, 90 s ago: s3://bucket/checkpoints/tally/chk-1\n`),
    )
    world.aws.items.clear()
    await status(undefined, SHOP)
    expect(world.said()).toBe('tally: never activated (revision 1 is deployed)\n')
  })
})

describe('savepoint, stop and checkpoints', () => {
  it('take a savepoint and print its path', async () => {
    world.goOnMeanwhile()
    await world.produce(0, 'a 100')
    await deployedSavepoint(SHOP, FAST)
    expect(world.said()).toBe('s3://bucket/checkpoints/tally/chk-1\n')
    await deployedSavepoint({ ...SHOP, json: true }, FAST)
    expect(world.json()).toEqual({ checkpointId: 2, path: 's3://bucket/checkpoints/tally/chk-2', durationMs: expect.any(Number) })
    await checkpoints(undefined, SHOP)
    const listed = world.said().trimEnd().split('\n')
    expect(listed).toHaveLength(2)
    expect(listed[0]).toMatch(/^savepoint 1 {2}2026-03-01T12:00:00.000Z {2}\d+ B in 1 file {2}s3:\/\/bucket\/checkpoints\/tally\/chk-1$/)
    await checkpoints(undefined, { ...SHOP, json: true })
    expect(world.json()).toMatchObject({
      root: 's3://bucket/checkpoints/tally',
      checkpoints: [{ id: 1, kind: 'savepoint', damaged: null }, { id: 2 }],
    })
  })

  it('stop the job, which takes no more records', async () => {
    world.goOnMeanwhile()
    await deployedStop(SHOP, FAST)
    expect(world.said()).toMatch(/^stopped after \d\.\d s\nsavepoint s3:\/\/bucket\/checkpoints\/tally\/chk-1\n$/)
    await expect(deployedStop(SHOP, FAST)).rejects.toThrow(/CONTROL_REFUSED: a stop of job "tally" cannot begin: the job has stopped/)
  })

  it('wait for a checkpoint that is in progress', async () => {
    await world.deployed.beginCheckpoint()
    await expect(deployedSavepoint({ ...SHOP, timeout: 0.02 }, FAST)).rejects.toThrow(
      /CONTROL_TIMEOUT: a savepoint could not begin within 0.02 s: checkpoint 1 is still in progress/,
    )
    world.goOnMeanwhile()
    await deployedSavepoint(SHOP, FAST)
    expect(world.said()).toBe('s3://bucket/checkpoints/tally/chk-2\n')
  })

  it('join one of the same kind: it may be their own, whose answer was lost', async () => {
    await world.deployed.control({ step: 'begin', input: { kind: 'savepoint' } })
    world.goOnMeanwhile()
    await deployedSavepoint(SHOP, FAST)
    expect(world.said()).toBe('s3://bucket/checkpoints/tally/chk-1\n')
    // Only then another.
    await deployedSavepoint(SHOP, FAST)
    expect(world.said()).toBe('s3://bucket/checkpoints/tally/chk-2\n')
  })

  it('give up what takes too long, and leave the job as it was', async () => {
    await expect(deployedStop({ ...SHOP, timeout: 0.02 }, FAST)).rejects.toThrow(
      /CONTROL_TIMEOUT: stop 1 was not complete after 0.02 s and has been given up/,
    )
    world.goOnMeanwhile()
    await status(undefined, SHOP)
    expect(world.said()).toContain('checkpoint 1 was given up: somebody has asked for it')
    await deployedSavepoint(SHOP, FAST)
    expect(world.said()).toBe('s3://bucket/checkpoints/tally/chk-2\n')
  })

  it('wait on for what is about to be complete when it takes too long: nothing stops that', async () => {
    const refusal = { code: 'CONTROL_REFUSED', message: 'CONTROL_REFUSED: it is being completed', detail: { what: 'it is being completed' } }
    let asked = 0
    world.answers.set('abort', () => {
      asked++
      world.goOnMeanwhile()
      return { error: refusal }
    })
    await deployedSavepoint({ ...SHOP, timeout: 0 }, FAST)
    expect(world.said()).toBe('s3://bucket/checkpoints/tally/chk-1\n')
    expect(asked).toBe(1)
  })

  it('tell why one was given up', async () => {
    world.onInvoke = ({ command }) => {
      if (command === 'progress') vi.setSystemTime(NOW + 11 * 60_000)
    }
    await expect(deployedSavepoint(SHOP, FAST)).rejects.toThrow(/CHECKPOINT_FAILED: savepoint 1 was given up: it was not complete after 600000 ms/)
  })

  it('list a checkpoint that is damaged as such, and none as none', async () => {
    await checkpoints(undefined, SHOP)
    expect(world.said()).toBe('no checkpoints or savepoints in s3://bucket/checkpoints/tally\n')
    world.aws.objects.set('checkpoints/tally/chk-7/manifest.json', new TextEncoder().encode('{'))
    await checkpoints(undefined, SHOP)
    expect(world.said()).toMatch(/^checkpoint 7 {2}- {2}- {2}damaged: a checkpoint's manifest is damaged/)
  })
})

describe('restore and start', () => {
  const done = { status: 'done', attempt: ATTEMPT + 1 }

  it('repeat a step with one request until it is done', async () => {
    const asked: Record<string, unknown>[] = []
    world.answers.set('restore', (request) => {
      asked.push(request)
      return asked.length < 3 ? { status: 'under-way', why: 'restoring begins' } : done
    })
    await restoreCommand('7', SHOP, FAST)
    expect(world.said()).toMatch(new RegExp(`^running with checkpoint 7 after \\d+\\.\\d s, attempt ${ATTEMPT + 1}\n$`))
    expect(asked).toHaveLength(3)
    expect(new Set(asked.map(({ checkpointId, request }) => `${checkpointId} ${request}`)).size).toBe(1)
    await restoreCommand('s3://bucket/checkpoints/tally/chk-9', { ...SHOP, json: true }, FAST)
    expect(world.json()).toEqual({ status: 'running', checkpointId: 9, attempt: ATTEMPT + 1, durationMs: expect.any(Number) })
    expect(asked[3].request).not.toBe(asked[0].request)
  })

  it('take the newest checkpoint, and say when there is none, or none of that name', async () => {
    world.answers.set('restore', () => done)
    await expect(restoreCommand('latest', SHOP, FAST)).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' })
    world.goOnMeanwhile()
    await deployedSavepoint(SHOP, FAST)
    world.said()
    await restoreCommand('latest', SHOP, FAST)
    expect(world.said()).toContain('running with checkpoint 1 after')
    for (const wrong of ['s3://other/checkpoints/tally/chk-1', 's3://bucket/checkpoints/tally', 'newest'])
      await expect(restoreCommand(wrong, SHOP, FAST)).rejects.toThrow(/OPTION_INVALID: .* is no checkpoint of job "tally"/)
  })

  it('say why it failed, and what it waits for when the time is over', async () => {
    // The imitation was activated without a deployment.
    await expect(restoreCommand('1', SHOP, FAST)).rejects.toThrow(
      /CONTROL_REFUSED: the job was not restored to checkpoint 1: the job is not deployed/,
    )
    world.answers.set('restore', () => ({ status: 'under-way', why: 'a mapping is being disabled' }))
    await expect(restoreCommand('1', { ...SHOP, timeout: 0.02 }, FAST)).rejects.toThrow(
      /CONTROL_TIMEOUT: the restore of checkpoint 1 was not done after 0.02 s: a mapping is being disabled/,
    )
  })

  it('start only what was stopped', async () => {
    world.answers.set('restore', ({ checkpointId }) => ({ ...done, warning: `as of ${checkpointId}` }))
    await expect(startCommand(SHOP, FAST)).rejects.toThrow(/CONTROL_REFUSED: job "tally" is running, not stopped/)
    world.goOnMeanwhile()
    await deployedStop(SHOP, FAST)
    world.said()
    await startCommand(SHOP, FAST)
    expect(world.said()).toContain('running with checkpoint 1 after')
    expect(world.output.stderr).toContain('millrace: as of 1\n')
  })
})

describe('rescale', () => {
  let app: string
  let before: string

  beforeEach(async () => {
    app = await tempFolder()
    before = process.cwd()
    process.chdir(app)
  })
  afterEach(() => {
    process.chdir(before)
  })

  it('prints the command', async () => {
    await expect(rescaleCommand(4, [], { ...SHOP, dryRun: true })).rejects.toThrow(/no cdk.json/)
    await writeFile('cdk.json', '{}')
    await rescaleCommand(4, ['--profile', 'a b'], { ...SHOP, dryRun: true })
    expect(world.said()).toBe("npx cdk deploy shop --context millrace:parallelism:tally=4 --profile 'a b'\n")
    await expect(rescaleCommand(4, [], { function: 'shop-control' })).rejects.toThrow(/Give --stack/)
  })

  it('deploys, and keeps in the context what was deployed', async () => {
    await writeFile('cdk.json', '{}')
    await writeFile('cdk.context.json', '{ "vpc": { "id": 1 } }')
    const ran: unknown[] = []
    const run = (code: number) => async (program: string, words: readonly string[]) => {
      ran.push([program, ...words])
      return code
    }
    await expect(rescaleCommand(4, [], SHOP, run(1))).rejects.toThrow(/CONTROL_REFUSED: the deployment ended with 1/)
    expect(JSON.parse(await readFile('cdk.context.json', 'utf8'))).toEqual({ vpc: { id: 1 } })
    await rescaleCommand(4, [], { ...SHOP, json: true }, run(0))
    expect(world.json()).toMatchObject({ job: 'tally', parallelism: 4 })
    expect(JSON.parse(await readFile('cdk.context.json', 'utf8'))).toEqual({ vpc: { id: 1 }, 'millrace:parallelism:tally': 4 })
    expect(ran[1]).toEqual(['npx', 'cdk', 'deploy', 'shop', '--context', 'millrace:parallelism:tally=4'])
  })
})
