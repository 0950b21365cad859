import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { PutRecordCommand } from '@aws-sdk/client-kinesis'
import { until } from '../../local-aws/process-group.js'
import type { Scenario } from '../scenario.js'

const NAME = 'page-views'
const ARRIVAL_MS = 3 * 60_000

export const newProject: Scenario = {
  name: 'init',
  what: 'a project made by millrace init is installed, tested, run, and deployed',
  async run(stage) {
    const { cloud } = stage
    const folder = join(cloud.folder, 'new')
    const project = join(folder, NAME)
    mkdirSync(folder)
    const packed = await cloud.run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder])
    await cloud.run('millrace', ['init', project])
    await cloud.run('npm', ['install', '--no-audit', '--no-fund', join(folder, packed.trim())], { folder: project })
    stage.say('installed')
    await cloud.run('npm', ['test'], { folder: project })
    const printed = await cloud.run('npm', ['start', '--silent'], { folder: project })
    if (!printed.includes('"page":"/docs"')) throw new Error(`npm start does not print counts:\n${printed}`)
    stage.say('tested and run')
    const outputs = join(folder, 'outputs.json')
    await cloud.run('npx', ['cdk', 'deploy', '--require-approval', 'never', '--method', 'direct', '--outputs-file', outputs], { folder: project })
    stage.say('deployed')
    const { ViewsStream, CountsTable } = JSON.parse(readFileSync(outputs, 'utf8'))[NAME]
    const { kinesis, tables } = cloud.clients()
    for (const time of [1_000, 2_000, 120_000]) {
      const Data = new TextEncoder().encode(JSON.stringify({ page: '/', visitor: 'v', time }))
      await kinesis.send(new PutRecordCommand({ StreamName: ViewsStream, PartitionKey: 'v', Data }))
    }
    const counts = async () => (await tables.send(new ScanCommand({ TableName: CountsTable }))).Items ?? []
    if (!(await until(ARRIVAL_MS, async () => (await counts()).length > 0))) throw new Error('no window has arrived')
    const [{ page, start, views }] = await counts()
    if (page.S !== '/' || start.N !== '0' || views.N !== '2') throw new Error(`a wrong window: ${JSON.stringify(await counts())}`)
    await cloud.run('npx', ['cdk', 'destroy', '--force'], { folder: project })
  },
}
