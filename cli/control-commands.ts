import { resolve } from 'node:path'
import type { MetricsSnapshot } from '../runtime/local/run-options.js'
import { callJobAt } from './control-client.js'
import type { EndAnswer, JobAnswer, SavepointAnswer } from './control-server.js'
import { printJson, printLines } from './print.js'
import { isoTime, Progress, seconds } from './progress.js'

/** `millrace stop`: ends a running job with a last savepoint or checkpoint. */
export async function stopCommand(
  target: string,
  flags: { readonly drain?: boolean; readonly savepoint?: string; readonly json?: boolean },
): Promise<void> {
  const savepointDir = flags.savepoint === undefined ? undefined : resolve(flags.savepoint)
  const end = await callJobAt<EndAnswer>(target, 'POST', '/stop', { drain: flags.drain === true, savepointDir })
  if (flags.json === true) return printJson(end)
  printLines([`${end.status} after ${seconds(end.durationMs)}`])
  const path = end.savepoint ?? end.lastCheckpoint
  if (path !== null) printLines([`${end.savepoint === null ? 'checkpoint' : 'savepoint'} ${path}`])
}

/** `millrace savepoint`: prints the path of the savepoint; the job goes on. */
export async function savepointCommand(target: string, directory: string, flags: { readonly json?: boolean } = {}): Promise<void> {
  const taken = await callJobAt<SavepointAnswer>(target, 'POST', '/savepoint', { directory: resolve(directory) })
  if (flags.json === true) printJson(taken)
  else printLines([taken.path])
}

/** `millrace cancel`: ends a running job at once. */
export async function cancelCommand(target: string, flags: { readonly json?: boolean } = {}): Promise<void> {
  const end = await callJobAt<EndAnswer>(target, 'POST', '/cancel')
  if (flags.json === true) printJson(end)
  else printLines([`${end.status} after ${seconds(end.durationMs)}`])
}

/** `millrace status`: one line about the job and one about each operator, or everything as JSON. */
export async function statusCommand(target: string, flags: { readonly json?: boolean }): Promise<void> {
  const job = await callJobAt<JobAnswer>(target, 'GET', '/job')
  const metrics = await callJobAt<MetricsSnapshot>(target, 'GET', '/metrics')
  if (flags.json === true) {
    printJson({ ...job, metrics })
    return
  }
  printLines([`${job.job} (process ${job.pid}, attempt ${metrics.attempt}): ${new Progress().describe(metrics)}`])
  for (const operator of metrics.operators) {
    const late = operator.late > 0 ? `  late ${operator.late}` : ''
    const name = `${operator.name} [${operator.uid}] #${operator.subtask}`
    printLines([
      `  ${name}  in ${operator.recordsIn}  out ${operator.recordsOut}  state ${operator.stateEntries}  watermark ${isoTime(operator.watermark)}${late}`,
    ])
  }
}
