import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deployedSavepoint } from '../../cli/deployed-checkpoints.js'
import { checkpoints } from '../../cli/job-commands.js'
import { stateGet, stateList } from '../../cli/state-commands.js'
import { stateDiff } from '../../cli/state-diff.js'
import { keysNamed, namespaceTest } from '../../cli/state-rows.js'
import { tempFolder } from '../backends/temp-folder.js'
import { DeployedWorld } from './deployed-world.js'
import { savedVisits } from './saved-visits.js'
import { tally } from './tally-job.js'
import { WrittenOutput } from './written-output.js'

let dir: string

beforeEach(async () => {
  dir = await tempFolder()
})

function savedIn(name: string, words: Parameters<typeof savedVisits>[1], parallelism = 1): Promise<string> {
  return savedVisits(join(dir, name), words, parallelism)
}

describe('state of an embedded job', () => {
  let output: WrittenOutput

  beforeEach(() => {
    output = new WrittenOutput()
  })
  afterEach(() => output.end())

  it('is shown by key, as each kind of state holds it', async () => {
    const folder = await savedIn(
      'a',
      [
        ['ann', 'home'],
        ['bob', 'home'],
        ['ann', 'cart'],
        ['ann', 'home'],
      ],
      2,
    )
    await stateGet(folder, { uid: 'visits', key: 'ann' })
    const [head, place, ...states] = output.said().trimEnd().split('\n')
    expect(head).toMatch(/^checkpoint 1 of visits, \d{4}-.*Z: .*a\/chk-1$/)
    expect(place).toMatch(/^visits, key "ann": key group \d+, subtask [01] of 2$/)
    expect(states).toEqual([
      '  count  value  with a time to live',
      '    "3"',
      '  pages  list',
      '    ["home","cart","home"]',
      '  seen  map',
      '    [["home",{"times":2}],["cart",{"times":1}]]',
      '  coded  value  serde upper/2',
      `    ${JSON.stringify(Buffer.from('HOME').toString('base64'))}`,
    ])
    await stateGet(join(folder, 'chk-1'), { uid: 'visits', key: '"bob"', state: 'pages', json: true })
    expect(output.json()).toMatchObject({
      checkpoint: { job: 'visits', checkpointId: 1, kind: 'checkpoint' },
      uid: 'visits',
      key: 'bob',
      states: [{ name: 'pages', kind: 'list', rows: [{ namespace: null, value: ['home'] }] }],
    })
  })

  it('tells a number from a text', async () => {
    const folder = await savedIn('a', [
      [17, 'home'],
      ['18', 'cart'],
    ])
    await stateGet(folder, { uid: 'visits', key: '17', state: 'pages' })
    expect(output.said()).toContain('key 17:')
    await stateGet(folder, { uid: 'visits', key: '18', state: 'pages' })
    expect(output.said()).toContain('key "18":')
    await expect(stateGet(folder, { uid: 'visits', key: '"17"' })).rejects.toMatchObject({ code: 'STATE_NOT_FOUND' })
  })

  it('is listed by operator, and what is not there is said', async () => {
    const folder = await savedIn('a', [
      ['ann', 'home'],
      ['bob', 'home'],
      ['ann', 'cart'],
    ])
    await stateList(folder, { uid: 'visits' })
    expect(output.said().trimEnd().split('\n').slice(1)).toEqual([
      expect.stringMatching(/^visits {2}\S+ {2}parallelism 1 of 128 {2}\d+ B$/),
      '  count  value  2 keys    with a time to live',
      '  pages  list   2 keys',
      '  seen   map    2 keys',
      '  coded  value  2 keys    serde upper/2',
    ])
    await stateList(folder, { json: true })
    const { operators } = output.json<{ operators: { uid: string; states: unknown[] }[] }>()
    expect(operators.find(({ uid }) => uid === 'visits')?.states[1]).toEqual({ name: 'pages', kind: 'list', serde: 'structural', keys: 2, rows: 2 })
    await expect(stateList(folder, { uid: 'visit' })).rejects.toThrow(/no operator with the uid "visit"\n[\s\S]*"visits"/)
    await expect(stateList(join(dir, 'nowhere'), {})).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' })
    await expect(stateGet(folder, { uid: 'visits', key: 'carl' })).rejects.toThrow(/STATE_NOT_FOUND: Operator "visits" holds nothing of the key carl/)
  })

  it('is compared, by key and state', async () => {
    const before = await savedIn('a', [
      ['ann', 'home'],
      ['bob', 'home'],
      ['eve', 'cart'],
    ])
    const after = await savedIn(
      'b',
      [
        ['ann', 'home'],
        ['ann', 'cart'],
        ['eve', 'cart'],
        ['zoe', 'home'],
      ],
      2,
    )
    await stateDiff(before, after, { uid: 'visits', json: true })
    const { differences } = output.json<{ differences: { state: string; rows: unknown[] }[] }>()
    const pages = differences.find(({ state }) => state === 'pages')
    expect(pages).toMatchObject({ uid: 'visits', added: 1, removed: 1, changed: 1 })
    expect(pages?.rows).toEqual(
      expect.arrayContaining([
        { change: 'added', key: 'zoe', namespace: null, after: ['home'] },
        { change: 'removed', key: 'bob', namespace: null, before: ['home'] },
        { change: 'changed', key: 'ann', namespace: null, before: ['home'], after: ['home', 'cart'] },
      ]),
    )
    await stateDiff(before, after, { limit: 1 })
    const said = output.said()
    expect(said).toMatch(/^- checkpoint 1 of visits.*\n\+ checkpoint 1 of visits/)
    expect(said).toContain('visits  pages: 1 added, 1 removed, 1 changed\n')
    expect(said).toContain('… and 2 more (--limit shows more)')
    await stateDiff(after, after, {})
    expect(output.said()).toContain('no difference in keyed state')
    await expect(stateDiff(before, after, { uid: 'visit' })).rejects.toThrow(/no operator with the uid "visit"/)
    await expect(stateList(before, { checkpoint: 1 })).rejects.toThrow(/OPTION_INVALID: --checkpoint[\s\S]*chk-1/)
  })
})

describe('state of a deployed job', () => {
  const SHOP = { stack: 'shop' }
  let world: DeployedWorld

  beforeEach(async () => {
    world = await DeployedWorld.of(tally, 2)
    world.goOnMeanwhile()
  })
  afterEach(() => world.end())

  async function saved(...lines: string[]): Promise<void> {
    world.aws.produce(world.deployed.stream('words'), 0, lines)
    await world.deployed.run(1)
    await deployedSavepoint(SHOP, { pollMs: 1 })
    world.said()
  }

  it('is read from its bucket: the newest checkpoint, one by its id, one by its address', async () => {
    await saved('a 100', 'b 104', 'a 108')
    await saved('a 111', 'a 112')
    await stateGet(undefined, { ...SHOP, uid: 'count', key: 'a' })
    expect(world.said().split('\n')).toEqual([
      'savepoint 2 of tally, 2026-03-01T12:00:00.000Z: s3://bucket/checkpoints/tally/chk-2',
      expect.stringMatching(/^count, key "a": key group \d+, subtask [01] of 2$/),
      '  window-contents  aggregating',
      '    window 1970-01-01T00:01:40.000Z to 1970-01-01T00:01:50.000Z  2',
      '    window 1970-01-01T00:01:50.000Z to 1970-01-01T00:02:00.000Z  2',
      '  (event timers)',
      '    window 1970-01-01T00:01:40.000Z to 1970-01-01T00:01:50.000Z  fires at 1970-01-01T00:01:49.999Z',
      '    window 1970-01-01T00:01:50.000Z to 1970-01-01T00:02:00.000Z  fires at 1970-01-01T00:01:59.999Z',
      '',
    ])
    await stateGet(undefined, { ...SHOP, uid: 'count', key: 'a', checkpoint: 1, json: true })
    const { checkpoint, states } = world.json()
    expect(checkpoint).toMatchObject({ checkpointId: 1 })
    expect(states).toMatchObject([{ rows: [{ namespace: [100_000, 110_000], value: 2 }] }, { rows: [{ firesAtMs: 109_999 }] }])
    await stateGet('s3://bucket/checkpoints/tally/chk-1', { uid: 'count', key: 'a', namespace: namespaceTest('1970-01-01T00:01:41Z') })
    expect(world.said()).toContain('window 1970-01-01T00:01:40.000Z')
    await expect(stateGet(undefined, { ...SHOP, uid: 'count', key: 'a', checkpoint: 9 })).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' })
    await expect(stateGet('s3://', { uid: 'count', key: 'a' })).rejects.toThrow(/no address of S3/)
  })

  it('is verified where its checkpoints stand', async () => {
    await saved('a 100')
    await checkpoints('s3://bucket/checkpoints/tally/', {})
    expect(world.said()).toMatch(
      /^savepoint 1 {2}2026-03-01T12:00:00.000Z {2}tally {2}\d+ B in 1 file {2}valid\n {2}s3:\/\/bucket\/checkpoints\/tally\/chk-1\/manifest.json\n/,
    )
    const manifest = 'checkpoints/tally/chk-1/manifest.json'
    world.aws.objects.set(manifest, (world.aws.objects.get(manifest) as Uint8Array).slice(0, -9))
    await checkpoints('s3://bucket/checkpoints/tally', { json: true })
    expect(world.json<unknown[]>()).toMatchObject([{ id: 1, status: 'damaged', reason: expect.stringContaining('damaged') }])
  })

  it('is compared by ids', async () => {
    await saved('a 100')
    await saved('a 101', 'b 102')
    await stateDiff('1', '2', { ...SHOP, json: true })
    expect(world.json<{ differences: unknown[] }>().differences).toEqual([
      {
        uid: 'count',
        state: 'window-contents',
        added: 1,
        removed: 0,
        changed: 1,
        rows: expect.arrayContaining([
          { change: 'changed', key: 'a', namespace: [100_000, 110_000], before: 1, after: 2 },
          { change: 'added', key: 'b', namespace: [100_000, 110_000], after: 1 },
        ]),
      },
      {
        uid: 'count',
        state: '(event timers)',
        added: 1,
        removed: 0,
        changed: 0,
        rows: [{ change: 'added', key: 'b', namespace: [100_000, 110_000], after: { firesAtMs: 109_999 } }],
      },
    ])
  })
})

describe('what --key and --namespace say', () => {
  it('is text first, and what JSON makes of it', () => {
    expect(keysNamed('a b')).toEqual(['a b'])
    expect(keysNamed('17')).toEqual(['17', 17])
    expect(keysNamed('17n')).toEqual(['17n', 17n])
    expect(keysNamed('"17"')).toEqual(['17'])
    expect(keysNamed('["a",1]')).toEqual(['["a",1]', ['a', 1]])
    expect(keysNamed('null')).toEqual(['null'])
  })

  it('is a window, or a time in it', () => {
    expect(namespaceTest('[0,10]')([0, 10])).toBe(true)
    expect(namespaceTest('[0,10]')([0, 11])).toBe(false)
    expect([namespaceTest('0')([0, 10]), namespaceTest('9')([0, 10]), namespaceTest('10')([0, 10])]).toEqual([true, true, false])
    expect(namespaceTest('5')(null)).toBe(false)
    expect(() => namespaceTest('[0,')).toThrow(/Give a window/)
  })
})
