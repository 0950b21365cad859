import type { CheckpointSummary } from '../runtime/checkpoint/index.js'
import { checkpointsIn } from './checkpoint-listing.js'
import { bytes } from './progress.js'

/** `millrace checkpoints`: what can be restored from a folder, newest last. */
export async function checkpointsCommand(directory: string, flags: { readonly json?: boolean }): Promise<void> {
  const found = await checkpointsIn(directory)
  const text =
    flags.json === true ? JSON.stringify(found, undefined, 2) : found.map(describe).join('\n') || `no checkpoints or savepoints in ${directory}`
  process.stdout.write(`${text}\n`)
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
