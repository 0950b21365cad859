import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { MillraceError } from '../runtime/core/index.js'

/** Where a running job is reached: written by `millrace run`, read by `millrace stop` and its like. */
export interface ControlFile {
  readonly pid: number
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** Whoever can read the file (mode 0600) may control the job. */
  readonly token: string
  readonly job: string
}

/** `target` is a checkpoint folder, or a control file itself. */
export async function controlPath(target: string): Promise<string> {
  const found = await stat(target).catch(() => undefined)
  return found?.isFile() === true || (found === undefined && target.endsWith('.json')) ? target : join(target, 'control.json')
}

/** undefined when there is no file, or one that is not complete. */
export async function readControlFile(path: string): Promise<ControlFile | undefined> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Partial<ControlFile>
    const whole = typeof value.pid === 'number' && typeof value.url === 'string' && typeof value.token === 'string' && typeof value.job === 'string'
    return whole ? (value as ControlFile) : undefined
  } catch (thrown) {
    if (thrown instanceof SyntaxError || (thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new MillraceError('STORAGE', {
      what: 'The control file cannot be read',
      where: path,
      todo: 'Run as the user who started the job.',
      cause: thrown,
    })
  }
}

/** A claim takes less than this, ms; a lock that is older was left by a run that was killed while it started. */
const LOCK_MS = 15_000

/**
 * Makes `path` this process's, or throws CHECKPOINT_DIR_IN_USE. A file left behind by a killed run is replaced; `isLive` says
 * whether the job of a file that exists still runs. Runs that start together take turns by a lock file beside it.
 */
export async function claimControlFile(path: string, mine: ControlFile, isLive: (other: ControlFile) => Promise<boolean>): Promise<void> {
  const lock = `${path}.lock`
  for (let waited = 0; !(await create(lock, mine)); waited += 50) {
    const held = await stat(lock).catch(() => undefined)
    if (held !== undefined && Date.now() - held.mtimeMs > LOCK_MS) await rm(lock, { force: true })
    if (waited > 2 * LOCK_MS) {
      throw new MillraceError('STORAGE', {
        what: 'The control file cannot be claimed',
        where: path,
        todo: 'Other runs start in the same folder: give each job its own.',
      })
    }
    await wait(50)
  }
  try {
    const other = await readControlFile(path)
    if (other !== undefined && (await isLive(other))) throw inUse(path, other)
    await rm(path, { force: true })
    await create(path, mine)
  } finally {
    await rm(lock, { force: true })
  }
}

/** Removes the file if it is still the one with `token`. */
export async function releaseControlFile(path: string, token: string): Promise<void> {
  const current = await readControlFile(path).catch(() => undefined)
  if (current?.token === token) await rm(path, { force: true })
}

async function create(path: string, mine: ControlFile): Promise<boolean> {
  try {
    await writeFile(path, `${JSON.stringify(mine, undefined, 2)}\n`, { flag: 'wx', mode: 0o600 })
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new MillraceError('STORAGE', {
      what: 'The control file cannot be written',
      where: path,
      todo: 'Make the folder writable, or name another.',
      cause: thrown,
    })
  }
}

function inUse(path: string, other: ControlFile): MillraceError {
  return new MillraceError('CHECKPOINT_DIR_IN_USE', {
    what: `The job '${other.job}' (process ${other.pid}) runs with this folder`,
    where: path,
    todo: 'Stop it first (millrace stop DIR), or give this run its own --checkpoint-dir.',
  })
}
