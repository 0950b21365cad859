import { resolve } from 'node:path'
import type { PlacesAnswer } from '../functions/control-checkpoints.js'
import { FileBlobStore } from '../runtime/backends/file/index.js'
import { type OpenedCheckpoint, type OpenStore, openCheckpoint } from '../runtime/checkpoint/index.js'
import type { BlobStore } from '../runtime/ports/index.js'
import { DeployedJob } from './deployed-job.js'
import type { DeployedFlags } from './deployed-target.js'
import { oneTarget } from './job-commands.js'
import { withPackages } from './optional-package.js'

export interface SnapshotFlags extends DeployedFlags {
  /** Of a deployed job: the id of a checkpoint. */
  readonly checkpoint?: number
}

/**
 * The checkpoint or savepoint that a command reads: a folder or an `s3://` address, or a deployed job's newest (or the one named). S3 is read
 * with the credentials of whoever runs the command and not through the control function: state may be larger than a function can hold or answer
 * with, whoever may call the function need not be allowed to see all state, and the same code reads folders.
 * Throws CHECKPOINT_*, DEPLOYMENT_NOT_FOUND, AWS_CALL, PACKAGE_MISSING.
 */
export async function openSnapshot(path: string | undefined, flags: SnapshotFlags): Promise<OpenedCheckpoint> {
  const from = oneTarget(path, flags) ? await deployedPath(flags) : (path as string)
  const isS3 = from.startsWith('s3://')
  const openStore = isS3 ? await s3Stores() : (root: string) => new FileBlobStore(root)
  return (await openCheckpoint(isS3 ? from : resolve(from), openStore)) as OpenedCheckpoint
}

async function deployedPath(flags: SnapshotFlags): Promise<string> {
  const { checkpoints } = await (await DeployedJob.find(flags)).ask<PlacesAnswer>({ command: 'places' })
  return flags.checkpoint === undefined ? checkpoints : `${checkpoints}/chk-${flags.checkpoint}`
}

async function s3Stores(): Promise<OpenStore> {
  const { s3Blobs } = await withPackages('Reading S3', () => import('../runtime/backends/aws/s3-address.js'))
  return s3Blobs as (address: string) => BlobStore
}
