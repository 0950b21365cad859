import type { Scenario } from '../scenario.js'

export const rescaled: Scenario = {
  name: 'rescale',
  what: 'parallelism goes from 2 to 4 to 1 while an access log arrives',
  async run(stage) {
    const deployment = await stage.deployed()
    const load = deployment.trickle(stage.lines(0, 1), 90_000)
    await stage.arrived(deployment, 0.05)
    for (const parallelism of [4, 1]) {
      const before = await deployment.windows()
      await deployment.deploy({ parallelism })
      const subtasks = await deployment.subtasksOf('count')
      stage.say(`${before.length} windows, then ${subtasks} subtasks`)
      if (subtasks !== parallelism) throw new Error(`${subtasks} subtasks count instead of ${parallelism}`)
    }
    await load
    await stage.compare(deployment)
  },
}
