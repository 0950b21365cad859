import { type CheckpointSummary, listCheckpoints } from '../runtime/checkpoint/index.js'
import { checkpointsIn } from './checkpoint-listing.js'
import { printJson, printLines } from './print.js'
import { bytes } from './progress.js'
import { isS3, s3Stores } from './s3-stores.js'

/** `millrace checkpoints`: what can be restored from a folder (or an `s3://` address), newest last, with every file read and verified. */
export async function checkpointsCommand(directory: string, flags: { readonly json?: boolean }): Promise<void> {
  const found = isS3(directory) ? await listCheckpoints((await s3Stores())(directory), directory.replace(/\/+$/, '')) : await checkpointsIn(directory)
  if (flags.json === true) printJson(found)
  else printLines(found.length === 0 ? [`no checkpoints or savepoints in ${directory}`] : found.map(describe))
}

function describe(summary: CheckpointSummary): string {
  const { id, kind, path, createdAtMs, job, status, reason, segments, operators } = summary
  const when = createdAtMs === undefined ? '-' : new Date(createdAtMs).toISOString()
  const size = `${bytes(summary.bytes)} in ${segments} ${segments === 1 ? 'file' : 'files'}`
  const lines = [`${kind} ${id ?? '-'}  ${when}  ${job ?? '-'}  ${size}  ${status}${reason === undefined ? '' : `: ${reason}`}`, `  ${path}`]
  for (const operator of operators) {
    lines.push(`    ${operator.uid}  ${operator.name}  parallelism ${operator.parallelism} of ${operator.maxParallelism}  ${bytes(operator.bytes)}`)
  }
  return lines.join('\n')
}
