import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { accessLog } from './access-log.js'
import { Cloud } from './cloud.js'
import { Stage } from './scenario.js'
import { SCENARIOS } from './scenarios/index.js'

/** `npm run e2e`: deploys the ip-count example to the emulator and lets the scenarios happen to it, one after the other. Resolves to the exit code. */
export async function main(args: readonly string[], root: string, pollerProgram: string): Promise<number> {
  const { values } = parseArgs({
    args: args as string[],
    options: { only: { type: 'string', multiple: true }, list: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false } },
  })
  if (values.list) {
    for (const { name, what } of SCENARIOS) console.log(`${name.padEnd(12)} ${what}`)
    return 0
  }
  const names = SCENARIOS.map(({ name }) => name)
  const unknown = values.only?.filter((name) => !names.includes(name)) ?? []
  if (unknown.length > 0) throw new Error(`There is no scenario ${unknown.join(', ')}; there are ${names.join(', ')}.`)
  const wanted = SCENARIOS.filter(({ name }) => values.only === undefined || values.only.includes(name))

  const folder = mkdtempSync(join(tmpdir(), 'millrace-e2e-'))
  mkdirSync(join(folder, 'aws'), { recursive: true })
  const began = Date.now()
  const cloud = await Cloud.start(root, folder, pollerProgram)
  const interrupted = () => void cloud.stop().finally(() => process.exit(1))
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted)
  let failed = 0
  let left = 0
  try {
    const log = await accessLog(root, folder)
    console.log(`${log.lines.length} lines, ${log.windows.length} windows; logs in ${folder}`)
    await cloud.bootstrap()
    console.log(`ready after ${seconds(began)}`)
    for (const scenario of wanted) {
      const start = Date.now()
      const say = (line: string) => console.log(`    ${seconds(start)} ${line}`)
      if (scenario.needsEmulator === true && !cloud.isLocal) {
        console.log(`--  ${scenario.name}: needs the emulator`)
        left++
        continue
      }
      const stage = new Stage(cloud, log, scenario.name, say)
      try {
        await scenario.run(stage)
        console.log(`ok  ${scenario.name}: ${scenario.what} (${seconds(start)})`)
      } catch (error) {
        failed++
        console.log(`FAILED  ${scenario.name}: ${scenario.what} (${seconds(start)})\n${error instanceof Error ? error.stack : error}`)
      } finally {
        await stage.end()
      }
    }
  } finally {
    await cloud.stop()
  }
  if (failed === 0 && !values.keep) rmSync(folder, { recursive: true, force: true })
  console.log(`${wanted.length - failed - left} of ${wanted.length} scenarios hold, ${seconds(began)}`)
  return failed === 0 ? 0 : 1
}

function seconds(since: number): string {
  return `${((Date.now() - since) / 1_000).toFixed(1)} s`
}
