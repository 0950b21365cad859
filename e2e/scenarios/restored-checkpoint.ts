import type { Scenario } from '../scenario.js'

export const restoredCheckpoint: Scenario = {
  name: 'checkpoint',
  what: 'a checkpoint of the state machine is restored, and what came behind it is counted again from there',
  async run(stage) {
    const deployment = await stage.deployed()
    await deployment.put(stage.lines(0, 0.5))
    await stage.arrived(deployment, 0.2)
    await stage.cloud.atRest()
    // Nothing follows until the checkpoint is complete: it holds exactly what is not in the table by then.
    const checkpointId = await deployment.checkpoint()
    const before = await deployment.windows()
    stage.say(`checkpoint behind ${before.length} windows`)
    await deployment.put(stage.lines(0.5, 1))
    await stage.compare(deployment)

    await deployment.clear()
    const { attempt } = await deployment.millrace<{ attempt: number }>('restore', String(checkpointId))
    stage.say(`restored, attempt ${attempt}`)
    const known = new Set(before)
    await deployment.expect(stage.log.windows.filter((window) => !known.has(window)))
  },
}
