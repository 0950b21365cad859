import { cancelCommand } from './control-commands.js'
import { type CostFlags, costCommand } from './cost-command.js'
import { deadLetterList, deadLetterReplay, deadLetterShow, type LettersFlags, type ReplayFlags } from './dead-letter-commands.js'
import type { WaitFlags } from './deployed-checkpoints.js'
import { restoreCommand, startCommand } from './deployed-restore.js'
import type { DeployedFlags } from './deployed-target.js'
import { initCommand } from './init-command.js'
import { checkpoints, type StopFlags, savepoint, status, stop } from './job-commands.js'
import { type PipeFlags, pipeCommand } from './pipe-command.js'
import { type PlanFlags, planCommand } from './plan-command.js'
import { type RescaleFlags, rescaleCommand } from './rescale-command.js'
import { type RunFlags, runCommand } from './run-command.js'
import { type StateGetFlags, type StateListFlags, stateGet, stateList } from './state-commands.js'
import { type StateDiffFlags, stateDiff } from './state-diff.js'
import { type WhyFlags, whyNotFiredCommand } from './why-not-fired.js'

/** What the command line does; tests put their own in place of the work. */
export interface Commands {
  init(folder: string): Promise<void>
  run(path: string, parameters: readonly string[], flags: RunFlags): Promise<number>
  plan(path: string, parameters: readonly string[], flags: PlanFlags): Promise<void>
  checkpoints(folder: string | undefined, flags: JobFlags): Promise<void>
  stop(folder: string | undefined, flags: StopFlags): Promise<void>
  savepoint(folder: string | undefined, path: string | undefined, flags: JobFlags & WaitFlags): Promise<void>
  cancel(folder: string, flags: { readonly json?: boolean }): Promise<void>
  status(folder: string | undefined, flags: JobFlags): Promise<void>
  start(flags: JobFlags & WaitFlags): Promise<void>
  restore(which: string, flags: JobFlags & WaitFlags): Promise<void>
  pipe(flags: PipeFlags): Promise<number>
  rescale(parallelism: number, more: readonly string[], flags: RescaleFlags): Promise<void>
  whyNotFired(folder: string | undefined, flags: WhyFlags): Promise<void>
  cost(flags: CostFlags): Promise<void>
  stateGet(path: string | undefined, flags: StateGetFlags): Promise<void>
  stateList(path: string | undefined, flags: StateListFlags): Promise<void>
  stateDiff(before: string, after: string, flags: StateDiffFlags): Promise<void>
  deadLetterList(flags: LettersFlags): Promise<void>
  deadLetterShow(id: string, flags: LettersFlags): Promise<void>
  deadLetterReplay(ids: readonly string[], flags: ReplayFlags): Promise<void>
}

/** Which deployed job is meant, if one is. */
export type JobFlags = DeployedFlags & { readonly json?: boolean }

export const COMMANDS: Commands = {
  init: initCommand,
  run: runCommand,
  plan: planCommand,
  checkpoints,
  stop,
  savepoint,
  cancel: cancelCommand,
  status,
  start: (flags) => startCommand(flags),
  restore: (which, flags) => restoreCommand(which, flags),
  pipe: (flags) => pipeCommand(flags),
  rescale: (parallelism, more, flags) => rescaleCommand(parallelism, more, flags),
  whyNotFired: whyNotFiredCommand,
  cost: costCommand,
  stateGet,
  stateList,
  stateDiff,
  deadLetterList,
  deadLetterShow,
  deadLetterReplay,
}
