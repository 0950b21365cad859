import { checkpointsCommand } from './checkpoints-command.js'
import { savepointCommand, statusCommand, stopCommand } from './control-commands.js'
import { deployedCheckpoints, deployedSavepoint, deployedStop, type WaitFlags } from './deployed-checkpoints.js'
import { deployedStatus } from './deployed-status.js'
import { checkTarget, type DeployedFlags, isDeployed } from './deployed-target.js'
import { wrongCommandLine } from './wrong-command-line.js'

/** Commands on a job that runs embedded (a folder says which) or is deployed (flags say which). */

export async function status(folder: string | undefined, flags: DeployedFlags & { readonly json?: boolean }): Promise<void> {
  if (oneTarget(folder, flags)) await deployedStatus(flags)
  else await statusCommand(folder as string, flags)
}

export async function checkpoints(folder: string | undefined, flags: DeployedFlags & { readonly json?: boolean }): Promise<void> {
  if (oneTarget(folder, flags)) await deployedCheckpoints(flags)
  else await checkpointsCommand(folder as string, flags)
}

export async function savepoint(folder: string | undefined, path: string | undefined, flags: DeployedFlags & WaitFlags): Promise<void> {
  if (oneTarget(folder, flags)) return deployedSavepoint(flags)
  if (path === undefined)
    throw wrongCommandLine(
      'A savepoint of an embedded job needs a folder',
      'Name a new one behind the checkpoint folder: millrace savepoint DIR PATH.',
    )
  checkNoTimeout(flags)
  await savepointCommand(folder as string, path, flags)
}

export interface StopFlags extends DeployedFlags, WaitFlags {
  readonly drain?: boolean
  readonly savepoint?: string
}

export async function stop(folder: string | undefined, flags: StopFlags): Promise<void> {
  if (!oneTarget(folder, flags)) {
    checkNoTimeout(flags)
    if (flags.drain === true && flags.savepoint !== undefined)
      throw wrongCommandLine('--drain and --savepoint exclude each other: a drained job is not to be resumed', 'Leave out one of them.')
    return stopCommand(folder as string, flags)
  }
  if (flags.savepoint !== undefined) throw wrongCommandLine('The savepoint of a deployed job stands in its bucket', 'Leave out --savepoint.')
  await deployedStop(flags)
}

/** True: a deployed job. Throws OPTION_INVALID unless exactly one is named. */
export function oneTarget(folder: string | undefined, flags: DeployedFlags): boolean {
  const deployed = isDeployed(flags)
  checkTarget(flags)
  if (deployed && folder !== undefined) throw wrongCommandLine('A folder and a deployed job cannot both be meant', 'Leave out one of them.')
  if (deployed || folder !== undefined) return deployed
  throw wrongCommandLine('Nothing says which job is meant', 'Give the folder of an embedded job, or --stack NAME of a deployed one.')
}

/** An embedded job has a time-out for its checkpoints, of its own. */
function checkNoTimeout({ timeout }: WaitFlags): void {
  if (timeout !== undefined)
    throw wrongCommandLine(
      '--timeout is for deployed jobs',
      'Leave it out; --checkpoint-timeout of millrace run says how long a checkpoint may take.',
    )
}
