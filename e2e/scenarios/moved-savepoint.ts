import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { run } from 'millrace'
import ipCount from '../../examples/ip-count/job.js'
import { CheckpointFolder } from '../checkpoint-folder.js'
import type { Scenario } from '../scenario.js'

export const movedSavepoint: Scenario = {
  name: 'savepoint',
  what: 'a job that was stopped goes on in one process, and from there again on AWS',
  async run(stage) {
    // One process reads all shards into one stream of lines, whose order then says what is late.
    const deployment = await stage.deployed({ shards: 1 })
    await deployment.put(stage.lines(0, 0.3))
    await stage.arrived(deployment, 0.1)
    const { path } = await deployment.millrace<{ path: string }>('stop')
    const stopped = (await deployment.windows()).length
    await deployment.put(stage.lines(0.3, 0.6))

    const folder = new CheckpointFolder(stage.cloud, path, join(stage.cloud.folder, 'moved'))
    mkdirSync(folder.local, { recursive: true })
    await folder.download()
    const { AccessLogStream, CountsTable } = deployment.outputs
    const handle = await run(ipCount, {
      threads: 0,
      parallelism: 2,
      parameters: { kinesis: 'accessLog', table: 'counts' },
      bindings: { accessLog: AccessLogStream, counts: CountsTable },
      checkpointDir: folder.local,
      checkpointIntervalMs: 0,
      restoreFrom: 'latest',
    })
    await stage.arrived(deployment, 0.4)
    await handle.stop()
    const moved = (await deployment.windows()).length
    stage.say(`${stopped} windows when it was stopped, ${moved} when the process was`)
    if (moved <= stopped) throw new Error('the process has done nothing')

    const back = await folder.upload()
    await deployment.millrace('restore', back)
    await deployment.put(stage.lines(0.6, 1))
    await stage.compare(deployment)
  },
}
