import type { Scenario } from '../scenario.js'

const FAULTS = { duplicate: 0.3, splitRetry: 0.5, failInvocation: 0.2, loseAnswer: 0.2, reDeliverOld: 0.1, slow: 0.1, slowMs: 500 }
const MEANT = ['duplicated', 'splitRetries', 'bisected', 'lostAnswers', 'wentBack'] as const

export const faultyPoller: Scenario = {
  name: 'poller',
  what: 'batches come twice, come again with other boundaries, fail and are halved, and are acknowledged in vain',
  needsEmulator: true,
  async run(stage) {
    const deployment = await stage.deployed()
    // Not as it is deployed: what fails comes again whole. A mapping that is set so must lose nothing either.
    stage.say(`${await deployment.halveFailingBatches()} mappings halve what fails`)
    const before = await stage.cloud.mappingStats()
    await stage.cloud.setFaults(FAULTS)
    try {
      await deployment.trickle(stage.lines(0, 1), 20_000)
      await stage.arrived(deployment, 0.9)
      const after = await stage.cloud.mappingStats()
      const happened = MEANT.map((name) => [name, after[name] - (before[name] ?? 0)] as const)
      stage.say(happened.map(([name, times]) => `${name} ${times}`).join(', '))
      if (happened.some(([, times]) => times === 0)) throw new Error('not everything has happened that was to happen')
    } finally {
      await stage.cloud.setFaults({})
    }
    await stage.compare(deployment)
  },
}
