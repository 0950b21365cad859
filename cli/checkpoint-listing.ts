import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { FileBlobStore } from '../runtime/backends/file/index.js'
import { type CheckpointSummary, listCheckpoints } from '../runtime/checkpoint/index.js'
import { MillraceError } from '../runtime/core/index.js'

/**
 * What can be restored from `directory`, with every file read and verified: its checkpoints, the savepoint that it is, and the
 * savepoints in folders right below. `directory` may also be a single checkpoint. Throws FILE_NOT_FOUND, STORAGE.
 */
export async function checkpointsIn(directory: string): Promise<CheckpointSummary[]> {
  const folder = resolve(directory)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new MillraceError('FILE_NOT_FOUND', {
      what: `There is no folder ${directory}`,
      where: folder,
      todo: 'Give the --checkpoint-dir of a job, or a folder of savepoints.',
    })
  }
  const single = /^chk-(\d+)$/.exec(basename(folder))
  if (single !== null) return (await listing(dirname(folder))).filter(({ id, kind }) => kind === 'checkpoint' && id === Number(single[1]))
  const below = (await readdir(folder, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !/^(?:chk-\d+|shared)$/.test(entry.name))
    .map((entry) => join(folder, entry.name))
    .filter((path) => existsSync(join(path, 'manifest.json')))
  const found = await listing(folder)
  for (const path of below) found.push(...(await listing(path)))
  return found.sort((a, b) => (a.createdAtMs ?? Number.MAX_SAFE_INTEGER) - (b.createdAtMs ?? Number.MAX_SAFE_INTEGER))
}

function listing(folder: string): Promise<CheckpointSummary[]> {
  return listCheckpoints(new FileBlobStore(folder), folder)
}
