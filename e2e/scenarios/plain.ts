import type { Scenario } from '../scenario.js'

export const plain: Scenario = {
  name: 'plain',
  what: 'an access log in two shards gives the windows of an embedded run',
  async run(stage) {
    const deployment = await stage.deployed()
    await deployment.put(stage.lines(0, 1))
    await stage.compare(deployment)
    await deployment.destroy()
  },
}
