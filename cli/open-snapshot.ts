import { resolve } from 'node:path'
import type { PlacesAnswer } from '../functions/control-checkpoints.js'
import { FileBlobStore } from '../runtime/backends/file/index.js'
import { type OpenedCheckpoint, openCheckpoint } from '../runtime/checkpoint/index.js'
import type { MillraceError } from '../runtime/core/index.js'
import { DeployedJob } from './deployed-job.js'
import type { DeployedFlags } from './deployed-target.js'
import { oneTarget } from './job-commands.js'
import { isS3, s3Stores } from './s3-stores.js'
import { wrongCommandLine } from './wrong-command-line.js'

export interface SnapshotFlags extends DeployedFlags {
  /** Of a deployed job: the id of a checkpoint. */
  readonly checkpoint?: number
}

/**
 * The checkpoint or savepoint that a command reads: a folder or an `s3://` address, or a deployed job's newest (or the one named). S3 is read
 * with the credentials of whoever runs the command and not through the control function: state may be larger than a function can hold or answer
 * with, whoever may call the function need not be allowed to see all state, and the same code reads folders.
 * Throws OPTION_INVALID, CHECKPOINT_*, DEPLOYMENT_NOT_FOUND, AWS_CALL, PACKAGE_MISSING.
 */
export async function openSnapshot(path: string | undefined, flags: SnapshotFlags): Promise<OpenedCheckpoint> {
  const isDeployedJob = oneTarget(path, flags)
  if (!isDeployedJob && flags.checkpoint !== undefined) throw notOfFolder(path as string, flags.checkpoint)
  const from = isDeployedJob ? await deployedPath(flags) : (path as string)
  const openStore = isS3(from) ? await s3Stores() : (root: string) => new FileBlobStore(root)
  return (await openCheckpoint(isS3(from) ? from : resolve(from), openStore)) as OpenedCheckpoint
}

async function deployedPath(flags: SnapshotFlags): Promise<string> {
  const { checkpoints } = await (await DeployedJob.find(flags)).ask<PlacesAnswer>({ command: 'places' })
  return flags.checkpoint === undefined ? checkpoints : `${checkpoints}/chk-${flags.checkpoint}`
}

function notOfFolder(path: string, checkpoint: number): MillraceError {
  return wrongCommandLine('--checkpoint names one of a deployed job', `Name the checkpoint itself: ${path.replace(/\/+$/, '')}/chk-${checkpoint}.`)
}
