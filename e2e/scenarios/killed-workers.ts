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
    let arriving = true
    const load = deployment.trickle(stage.lines(0, 1), 20_000).finally(() => {
      arriving = false
    })
    stage.say(`${await kill(stage.cloud, () => arriving)} killed`)
    await load
    await stage.compare(deployment)
  },
}

/**
 * Between two kills something is taken, however slow the machine is: else nothing would ever be. Once all has arrived there may be nothing left to take.
 * How many were killed.
 */
async function kill(cloud: Cloud, arriving: () => boolean): Promise<number> {
  let killed = 0
  while (killed < KILLS && (killed === 0 || arriving())) {
    const { acknowledged } = await cloud.mappingStats()
    await pause(Math.random() * 1_500)
    if (cloud.killWorker()) killed++
    while (arriving() && (await cloud.mappingStats()).acknowledged <= acknowledged) await pause(100)
  }
  return killed
}
