import type { Scenario } from '../scenario.js'

export const upgraded: Scenario = {
  name: 'upgrade',
  what: 'changed code is deployed while an access log arrives',
  async run(stage) {
    const deployment = await stage.deployed()
    const first = (await deployment.status()).revision
    const load = deployment.trickle(stage.lines(0, 1), 45_000)
    await stage.arrived(deployment, 0.1)
    await Promise.all([deployment.deploy({ entry: stage.changedJob(2) }), load])
    const second = (await deployment.status()).revision
    stage.say(`revision ${first} -> ${second}`)
    if (second === first) throw new Error('the changed code has not made another revision')
    await stage.compare(deployment)
  },
}
