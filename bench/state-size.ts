import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { listOf, start, wholeNumber } from './command-line.js'
import { machine } from './machine.js'
import { type Calls, StateWorld } from './state-world.js'
import { median } from './statistics.js'

// npm run -s bench:state -- [--keys 10000,1000000] [--memory-mb 64]: what an invocation costs with so much keyed state in one subtask.

/** Keys that an invocation touches. */
const TOUCHED = 100
/** Keys among which a warm instance's invocations choose. */
const HOT = 2_000
const FILL_BATCH = 5_000
const FILL_CHECKPOINT = 20
const ROUNDS = 60

interface Options {
  readonly keys: readonly number[]
  readonly memoryMb: number
  readonly fill?: string
  readonly measure?: string
}

const me = fileURLToPath(import.meta.url)
await start(
  new Command('bench:state')
    .option('--keys <n,m>', 'keys in the state, each number in turn', listOf(wholeNumber(1)), [10_000, 1_000_000])
    .option('--memory-mb <n>', 'what keyed state may take in memory', wholeNumber(1), 64)
    .option('--fill <folder>', 'only makes the state there, of the first number of keys')
    .option('--measure <folder>', 'only measures what --fill has made there')
    .action(async ({ keys, memoryMb, fill, measure }: Options) => {
      if (fill !== undefined) return fillState(fill, keys[0])
      if (measure !== undefined) return print(await measureState(measure, keys[0], memoryMb))
      for (const count of keys) {
        const folder = mkdtempSync(join(tmpdir(), 'millrace-state-'))
        try {
          run('--keys', String(count), '--fill', folder)
          run('--keys', String(count), '--memory-mb', String(memoryMb), '--measure', folder)
        } finally {
          rmSync(folder, { recursive: true, force: true })
        }
      }
    }),
)

/** In a process of its own: what the making of the state takes is not to be measured. */
function run(...args: readonly string[]): void {
  const { status } = spawnSync(process.execPath, ['--expose-gc', me, ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`)
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

function userOf(key: number): string {
  return `user-${String(key).padStart(7, '0')}`
}

async function fillState(folder: string, keys: number): Promise<void> {
  const world = new StateWorld(folder, Number.POSITIVE_INFINITY)
  await world.activate()
  for (let from = 0, batch = 1; from < keys; from += FILL_BATCH, batch++) {
    await world.take(Array.from({ length: Math.min(FILL_BATCH, keys - from) }, (_, i) => userOf(from + i)))
    if (batch % FILL_CHECKPOINT === 0) await world.checkpoint()
  }
  await world.checkpoint()
  await world.save()
}

async function measureState(folder: string, keys: number, memoryMb: number) {
  const world = new StateWorld(folder, memoryMb * 1024 * 1024)
  await world.load()
  const chance = (below: number) => Math.floor(Math.random() * below)
  const some = (below: number) => Array.from({ length: TOUCHED }, () => userOf(chance(below)))
  const before = memory()
  const cold = await world.take(some(HOT))
  // Every key that the warm instance is asked for has been asked for before.
  for (let from = 0; from < HOT; from += 500) await world.take(Array.from({ length: 500 }, (_, i) => userOf(from + i)))
  for (let round = 0; round < ROUNDS; round++) await world.take(some(HOT))
  const warm = []
  for (let round = 0; round < ROUNDS; round++) warm.push(await world.take(some(HOT)))
  const spread = []
  let peak = memory()
  for (let round = 0; round < ROUNDS; round++) {
    spread.push(await world.take(some(keys)))
    if (round % 10 === 9) peak = Math.max(peak, memory())
  }
  return {
    keys,
    touched: TOUCHED,
    memoryMb,
    cold: { cpuMs: round1(cold.cpuMs), ...cold.calls },
    warm: summary(warm),
    spread: summary(spread),
    rssMb: { before: megabytes(before), after: megabytes(memory()), peak: megabytes(peak) },
    ...machine(),
  }
}

type Taken = Awaited<ReturnType<StateWorld['take']>>

/** Medians of an invocation. */
function summary(taken: readonly Taken[]) {
  const of = (name: keyof Calls) => median(taken.map(({ calls }) => calls[name]))
  return {
    cpuMs: round1(median(taken.map(({ cpuMs }) => cpuMs))),
    reads: of('reads'),
    appends: of('appends'),
    puts: of('puts'),
    gets: of('gets'),
    ranges: of('ranges'),
    bytesWritten: of('bytesWritten'),
    bytesRead: of('bytesRead'),
  }
}

/** Resident, once garbage is gone. */
function memory(): number {
  ;(globalThis as { readonly gc?: () => void }).gc?.()
  return process.memoryUsage.rss()
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024)
}

function round1(n: number): number {
  return Math.round(n * 10) / 10
}
