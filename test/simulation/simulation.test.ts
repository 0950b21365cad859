import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { Chance } from '../../simulation/chance.js'
import { applyMutant, MUTANTS } from '../../simulation/mutants.js'
import { PROFILES } from '../../simulation/profiles.js'
import { runOnce, type SeedOptions, simulate } from '../../simulation/run.js'
import { Scheduler } from '../../simulation/scheduler.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Seeds that once broke an invariant; a change of the world makes other runs of them. */
const KEPT: readonly SeedOptions[] = [
  { seed: 83, profile: 'restore-zombies' },
  { seed: 219, profile: 'stop' },
  { seed: 1224, profile: 'calm' },
  { seed: 1329, profile: 'reshard' },
  { seed: 2098, profile: 'rescale' },
  { seed: 20170, profile: 'restore-zombies' },
  { seed: 801343, profile: 'restore-zombies' },
  { seed: 40050, profile: 'stop' },
  { seed: 42381, profile: 'reshard-restore' },
  { seed: 718667444, profile: 'clocks' },
  { seed: 281, profile: 'poison' },
  { seed: 587, profile: 'restore' },
  { seed: 73285597, profile: 'clocks' },
  { seed: 24295465, profile: 'everything' },
  { seed: 192586618, profile: 'restore-zombies' },
  { seed: 130546214, profile: 'clean-up' },
  { seed: 130687181, profile: 'everything' },
  { seed: 58, profile: 'clean-up' },
  { seed: 31, profile: 'clean-up' },
  { seed: 24, profile: 'crashes' },
  { seed: 5049, profile: 'stop', kind: 'keyed-state' },
]

describe('simulation', () => {
  it.each(PROFILES.map(({ name }, index) => [name, index + 1] as const))(
    'keeps all invariants under %s, seed %i',
    { timeout: 120_000 },
    async (profile, seed) => {
      const { violation, commits } = await simulate({ seed, profile, decisions: 4 })
      expect(violation).toBeUndefined()
      expect(commits).toBeGreaterThan(10)
    },
  )

  it.each(KEPT)('keeps all invariants with the seed $seed of $profile', { timeout: 120_000 }, async (options) => {
    expect((await simulate(options)).violation).toBeUndefined()
  })

  it('does the same for the same seed, and other things for another', { timeout: 120_000 }, async () => {
    const hash = async (seed: number) => (await runOnce({ seed, profile: 'crashes' }, true)).hash
    const first = await hash(7)
    expect(await hash(7)).toBe(first)
    expect(await hash(8)).not.toBe(first)
  })
})

describe('mutants', () => {
  it('fit the engine', () => {
    for (const { name, edits } of MUTANTS) {
      for (const file of new Set(edits.map((edit) => edit.file))) {
        const here = edits.filter((edit) => edit.file === file)
        const text = readFileSync(`${ROOT}${file}`, 'utf8')
        expect(applyMutant(name, here, text)).not.toBe(text)
      }
    }
  })

  it.each(['snapshot-at-first-barrier', 'send-before-commit-of-checkpoint'])('finds %s', { timeout: 120_000 }, (mutant) => {
    const { status, stdout } = spawnSync(process.execPath, ['scripts/simulate.mjs', '--mutant', mutant, '--seeds', '1-5'], {
      cwd: ROOT,
      encoding: 'utf8',
    })
    expect(status, stdout).toBe(1)
    expect(stdout).toContain('invariant ')
  })
})

describe('the command', () => {
  it('says of each mutant which seed is the first to find it', { timeout: 120_000 }, () => {
    const args = ['scripts/simulate.mjs', '--mutants', '--within', '5', '--only', 'send-before-commit-of-checkpoint']
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
    expect(status, stdout).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ mutant: 'send-before-commit-of-checkpoint', seed: expect.any(Number), invariant: '2' })
  })

  it.each([
    [['--within', 'soon'], '--within is "soon"'],
    [['--only', 'send-before-commit-of-checkpoint,nobody'], 'There is no mutant "nobody"'],
    [['--seed', '5'], "Unknown option '--seed'"],
  ])('takes no %j with --mutants, and does not say that all were found', (more, said) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/simulate.mjs', '--mutants', ...more], { cwd: ROOT, encoding: 'utf8' })
    expect({ status, stdout, stderr }).toEqual({ status: 2, stdout: '', stderr: expect.stringContaining(said) })
  })
})

describe('options', () => {
  it.each([
    [['--seeds', '9-1'], 'Give one seed or a range'],
    [['--minutes', 'x'], 'Give a number above 0'],
    [['--minutes', '0'], 'Give a number above 0'],
    [['--kind', 'bogus'], 'Allowed choices are'],
    [['--profile', 'bogus'], 'bogus'],
    [['--mutant', 'bogus'], 'There is no mutant "bogus"'],
  ])('%j ends with 2, which is not that something was found', (args, said) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/simulate.mjs', ...args], { cwd: ROOT, encoding: 'utf8' })
    expect({ status, stdout, stderr }).toEqual({ status: 2, stdout: '', stderr: expect.stringContaining(said) })
  })
})

describe('scheduler', () => {
  it('runs events in order of time, each when the one before has settled', async () => {
    const scheduler = new Scheduler(1_000)
    const seen: string[] = []
    scheduler.after(20, () => seen.push('late'))
    scheduler.after(10, async () => {
      seen.push('first')
      for (let i = 0; i < 5; i++) await undefined
      seen.push('settled')
    })
    scheduler.after(10, () => seen.push('second'))
    scheduler.after(15, () => seen.push('never')).cancelled = true
    await scheduler.run(() => false)
    expect(seen).toEqual(['first', 'settled', 'second', 'late'])
    expect(scheduler.now).toBe(1_020)
  })

  it('passes on what an event throws', async () => {
    const scheduler = new Scheduler(0)
    scheduler.after(1, () => {
      throw new Error('broken')
    })
    await expect(scheduler.run(() => false)).rejects.toThrow('broken')
  })
})

describe('chance', () => {
  it('gives streams of one seed that do not depend on each other', () => {
    const draw = (seed: number, stream: string) => {
      const chance = new Chance(seed, stream)
      return Array.from({ length: 8 }, () => chance.uint32())
    }
    expect(draw(1, 'a')).toEqual(draw(1, 'a'))
    expect(draw(1, 'a')).not.toEqual(draw(1, 'b'))
    expect(draw(1, 'a')).not.toEqual(draw(2, 'a'))
  })

  it('is about uniform', () => {
    const chance = new Chance(3)
    const counts = Array.from({ length: 10 }, () => 0)
    for (let i = 0; i < 10_000; i++) counts[chance.below(10)]++
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150)
  })
})
