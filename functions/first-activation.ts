import type { JobRecord } from '../runtime/checkpoint/job-record.js'
import { type DeployedControl, deployedControl } from './deployed-control.js'
import type { HandlerOptions } from './handler-options.js'

export interface Activated {
  readonly attempt: number
  readonly phase: JobRecord['phase']
}

/**
 * The function that is called whenever the job has been deployed. A job that has not run yet begins, with nothing; an activation that was cut
 * off is resumed; one that runs goes on. Throws ACTIVATION_REFUSED when another revision of the job is active.
 */
export function firstActivationHandler(job: unknown, options: HandlerOptions = {}): () => Promise<Activated> {
  return async () => {
    const deployed = deployedControl(job, options)
    try {
      const { attempt, phase } = await activate(deployed)
      return { attempt, phase }
    } finally {
      deployed.metrics.flush()
    }
  }
}

async function activate({ control, environment: { revision, plan } }: DeployedControl): Promise<JobRecord> {
  const record = await control.record()
  if (record === undefined || record.revision !== revision || record.plan !== plan) return control.activate({ from: null })
  if (record.phase !== 'restoring') return record
  return control.activate({ from: record.from, expected: record.attempt - 1 })
}
