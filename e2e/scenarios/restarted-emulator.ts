import type { Scenario } from '../scenario.js'

export const restartedEmulator: Scenario = {
  name: 'restart',
  what: 'emulator and pollers end in the middle of an access log and start again with what they kept',
  needsEmulator: true,
  async run(stage) {
    const deployment = await stage.deployed()
    await deployment.put(stage.lines(0, 0.5))
    await stage.arrived(deployment, 0.2)
    await deployment.put(stage.lines(0.5, 0.6))
    await stage.cloud.restart()
    stage.say('restarted')
    await deployment.put(stage.lines(0.6, 1))
    await stage.compare(deployment)
  },
}
