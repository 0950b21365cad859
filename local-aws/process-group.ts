import { execFileSync, spawn } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

const TERM_MS = 15_000
const KILL_MS = 5_000
const LOOK_MS = 50

/** A process that leads a group of its own, by which its children are found when it is gone. `started` tells it from one that gets its id later. */
export interface GroupLeader {
  readonly pid: number
  readonly started: string
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Takes what it prints. */
  readonly log: string
  /** It gets a standard input that ends when this process does, and does not outlive it if it heeds that. */
  readonly child: boolean
}

/** Begins a process that leads a group. */
export function spawnLeader(command: string, args: readonly string[], { env, log, child }: SpawnOptions): GroupLeader {
  const output = openSync(log, 'a')
  const spawned = spawn(command, args, { detached: true, stdio: [child ? 'pipe' : 'ignore', output, output], env: { ...process.env, ...env } })
  if (spawned.pid === undefined) throw new Error(`${command} cannot be started`)
  // It may have ended before this process does.
  spawned.stdin?.on('error', () => {})
  if (!child) spawned.unref()
  return { pid: spawned.pid, started: startOf(spawned.pid) ?? '' }
}

export function isRunning({ pid, started }: GroupLeader): boolean {
  return startOf(pid) === started
}

/** Lets the leader end in order, then ends what is left of its group. Nothing when the process of that id is another by now. */
export async function endGroup(leader: GroupLeader): Promise<void> {
  const { pid } = leader
  if (startOf(pid) !== undefined && !isRunning(leader)) return
  signal(pid, 'SIGTERM')
  await until(TERM_MS, () => !isRunning(leader))
  signal(-pid, 'SIGTERM')
  if (await until(KILL_MS, () => groupOf(pid).length === 0)) return
  signal(-pid, 'SIGKILL')
  await until(KILL_MS, () => groupOf(pid).length === 0)
}

/** The processes of a group, without its leader. */
export function childrenOf({ pid }: GroupLeader): readonly number[] {
  return groupOf(pid).filter((member) => member !== pid)
}

export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** What `file` says, matched, as soon as it matches. Rejects with it when the process ends or time is up. */
export async function saidIn(file: string, pattern: RegExp, leader: GroupLeader, ms: number): Promise<string> {
  let found: RegExpExecArray | null = null
  await until(ms, () => {
    found = pattern.exec(readFileSync(file, 'utf8'))
    return found !== null || !isRunning(leader)
  })
  if (found === null) throw new Error(`${file} does not say ${pattern}:\n${readFileSync(file, 'utf8').slice(-4_000)}`)
  return found[1]
}

/** Whether it became so in time. */
export async function until(ms: number, isSo: () => boolean | Promise<boolean>): Promise<boolean> {
  for (const deadline = Date.now() + ms; ; await pause(LOOK_MS)) {
    if (await isSo()) return true
    if (Date.now() > deadline) return false
  }
}

function startOf(pid: number): string | undefined {
  const [row] = ps(['-o', 'stat=,lstart=', '-p', String(pid)])
  // Z: it has ended, and nobody has asked how.
  return row === undefined || row.startsWith('Z') ? undefined : row.slice(row.indexOf(' ')).trim()
}

function groupOf(group: number): readonly number[] {
  return ps(['-A', '-o', 'pid=,pgid=,stat='])
    .map((row) => row.split(/\s+/))
    .filter(([, pgid, stat]) => Number(pgid) === group && !stat.startsWith('Z'))
    .map(([pid]) => Number(pid))
}

function ps(args: readonly string[]): readonly string[] {
  try {
    const text = execFileSync('ps', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return text
      .split('\n')
      .map((row) => row.trim())
      .filter((row) => row !== '')
  } catch {
    // It says so with its exit code when there is no such process.
    return []
  }
}
