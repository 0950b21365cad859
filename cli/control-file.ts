import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
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
  return found?.isFile() === true ? target : join(target, 'control.json')
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

/**
 * Makes `path` this process's, or throws CHECKPOINT_DIR_IN_USE. A file left behind by a killed run is replaced; `isLive` says
 * whether the job of a file that exists still runs.
 */
export async function claimControlFile(path: string, mine: ControlFile, isLive: (other: ControlFile) => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    if (await create(path, mine)) return
    const other = await readControlFile(path)
    if (other === undefined) {
      // Gone again, or just being written by another run; a torn file of a killed run does not change and is taken over.
      await wait(100)
      if (tries >= 3 && (await readControlFile(path)) === undefined) await rm(path, { force: true })
    } else if (await isLive(other)) {
      throw inUse(path, other)
    } else {
      await takeAway(path, other)
    }
  }
  throw new MillraceError('STORAGE', {
    what: 'The control file cannot be claimed',
    where: path,
    todo: 'Other runs start in the same folder: give each job its own.',
  })
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

/** Two runs may find the same stale file: the rename lets one of them have it, and shows if it was a fresh one after all. */
async function takeAway(path: string, stale: ControlFile): Promise<void> {
  const aside = `${path}.${stale.token.slice(0, 16)}.${process.pid}`
  try {
    await rename(path, aside)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return
    throw thrown
  }
  const taken = await readControlFile(aside)
  if (taken !== undefined && taken.token !== stale.token) {
    await rename(aside, path)
    return
  }
  await rm(aside, { force: true })
}

function inUse(path: string, other: ControlFile): MillraceError {
  return new MillraceError('CHECKPOINT_DIR_IN_USE', {
    what: `The job '${other.job}' (process ${other.pid}) runs with this folder`,
    where: path,
    todo: 'Stop it first (millrace stop DIR), or give this run its own --checkpoint-dir.',
  })
}
