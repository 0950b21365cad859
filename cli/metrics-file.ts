import { rename, rm, writeFile } from 'node:fs/promises'
import { MillraceError } from '../runtime/core/index.js'
import type { MetricsSnapshot } from '../runtime/local/run-options.js'

/** Replaces `path` with the snapshot as JSON; a reader sees the old file or the new one, never half of one. Throws STORAGE. */
export async function writeMetricsFile(path: string, metrics: MetricsSnapshot): Promise<void> {
  const aside = `${path}.${process.pid}.tmp`
  try {
    await writeFile(aside, `${JSON.stringify(metrics, undefined, 2)}\n`)
    await rename(aside, path)
  } catch (cause) {
    await rm(aside, { force: true }).catch(() => undefined)
    throw new MillraceError('STORAGE', {
      what: 'The metrics cannot be written',
      where: path,
      todo: 'Give --metrics-json a file in a folder that exists and is writable.',
      cause,
    })
  }
}
