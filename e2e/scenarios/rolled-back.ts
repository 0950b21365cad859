import type { Scenario } from '../scenario.js'

export const rolledBack: Scenario = {
  name: 'rollback',
  what: 'a deployment fails behind the activation while an access log arrives, and the revision before goes on',
  async run(stage) {
    const deployment = await stage.deployed()
    const first = (await deployment.status()).revision
    const load = deployment.trickle(stage.lines(0, 1), 60_000)
    await stage.arrived(deployment, 0.05)
    const { attempt } = await deployment.status()
    await deployment.deploy({ entry: stage.changedJob(3), fails: true })
    const { revision, attempt: after } = await deployment.status()
    stage.say(`revision ${revision}, attempt ${attempt} -> ${after}`)
    if (revision !== first) throw new Error(`revision ${revision} runs instead of ${first}`)
    if (after <= attempt) throw new Error('the deployment failed before the job was activated')
    await load
    await stage.compare(deployment)
  },
}
