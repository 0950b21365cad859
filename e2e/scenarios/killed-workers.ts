import { setTimeout as pause } from 'node:timers/promises'
import type { Scenario } from '../scenario.js'

export const killedWorkers: Scenario = {
  name: 'kill',
  what: 'the processes that run functions are killed at random while an access log arrives',
  needsEmulator: true,
  async run(stage) {
    const deployment = await stage.deployed()
    let over = false
    let killed = 0
    const killing = (async () => {
      for (; !over; await pause(1_500 + Math.random() * 2_500)) if (stage.cloud.killWorker()) killed++
    })()
    try {
      await deployment.trickle(stage.lines(0, 1), 20_000)
      await stage.arrived(deployment, 0.9)
    } finally {
      over = true
      await killing
    }
    stage.say(`${killed} killed`)
    if (killed < 3) throw new Error('too few were killed to mean anything')
    await stage.compare(deployment)
  },
}
