import type { Scenario } from '../scenario.js'
import { faultyPoller } from './faulty-poller.js'
import { killedWorkers } from './killed-workers.js'
import { movedSavepoint } from './moved-savepoint.js'
import { newProject } from './new-project.js'
import { plain } from './plain.js'
import { rescaled } from './rescaled.js'
import { restartedEmulator } from './restarted-emulator.js'
import { restoredCheckpoint } from './restored-checkpoint.js'
import { rolledBack } from './rolled-back.js'
import { upgraded } from './upgraded.js'

/** In the order in which they run. */
export const SCENARIOS: readonly Scenario[] = [
  plain,
  killedWorkers,
  faultyPoller,
  restartedEmulator,
  restoredCheckpoint,
  upgraded,
  rescaled,
  rolledBack,
  movedSavepoint,
  newProject,
]
