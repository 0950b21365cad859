import { join } from 'node:path'
import { storageError } from '../../../backends/file/index.js'
import { MillraceError, type SinkWriterContext } from '../../../core/index.js'
import type { FileSystem } from '../../../ports/index.js'
import { readPartName } from './part-name.js'

/**
 * Makes the folder and clears away what belongs to epochs behind the restored checkpoint: they are written again. Committables of the
 * checkpoint are of earlier epochs and stay. Every subtask clears its own files; subtask 0 also those of subtasks that are no more.
 * Finished files at a fresh start are an error unless they may be overwritten or this run wrote them.
 */
export async function prepareFolder(
  settings: { readonly files: FileSystem; readonly path: string; readonly overwrite: boolean },
  context: SinkWriterContext,
): Promise<void> {
  const { files, path } = settings
  const { subtaskIndex, parallelism, restoredCheckpointId } = context
  const mayReplace = settings.overwrite || restoredCheckpointId > 0 || context.runtime.attemptNumber > 0
  try {
    await files.makeDir(path)
    for (const name of await files.list(path)) {
      const part = readPartName(name)
      if (part === undefined || part.epoch <= restoredCheckpointId) continue
      const isMine = part.subtask === subtaskIndex || (subtaskIndex === 0 && part.subtask >= parallelism)
      if (!isMine) continue
      if (!part.pending && !mayReplace) throw outputExists(join(path, name))
      await files.remove(join(path, name))
    }
  } catch (error) {
    throw storageError(error, path, 'preparing the output folder')
  }
}

export function outputExists(path: string): MillraceError {
  const todo = 'Name another path, remove the old output, or set overwrite: true. To go on where an earlier run ended, restore from its checkpoint.'
  return new MillraceError('OPTION_INVALID', { what: 'the output exists already', where: path, todo })
}
