import { setTimeout as pause } from 'node:timers/promises'
import type { Cloud } from '../cloud.js'
import type { Scenario } from '../scenario.js'

const KILLS = 12

export const killedWorkers: Scenario = {
  name: 'kill',
  what: 'the processes that run functions are killed at random while an access log arrives',
  needsEmulator: true,
  async run(stage) {
    const deployment = await stage.deployed()
    const load = deployment.trickle(stage.lines(0, 1), 20_000)
    await kill(stage.cloud)
    stage.say(`${KILLS} killed`)
    await load
    await stage.compare(deployment)
  },
}

/** Between two kills something is taken, however slow the machine is: else nothing would ever be. */
async function kill(cloud: Cloud): Promise<void> {
  for (let killed = 0; killed < KILLS; ) {
    const { acknowledged } = await cloud.mappingStats()
    await pause(Math.random() * 1_500)
    if (cloud.killWorker()) killed++
    while ((await cloud.mappingStats()).acknowledged <= acknowledged) await pause(100)
  }
}
