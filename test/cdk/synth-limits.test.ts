import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bundleJob, type JobBundle } from '../../cdk/bundle-job.js'
import { readPlan } from '../../cdk/read-plan.js'
import { builtFile } from '../examples/run-example.js'
import { FIVE_STAGES, IP_COUNT, moduleOf } from './stacks.js'

const MOST_SYNTH_MS = 20_000
const MOST_BUNDLE_BYTES = 1_000_000
const CWD = fileURLToPath(new URL('../../', import.meta.url))

function bundled(entry: string): JobBundle {
  const bundle = bundleJob(entry)
  onTestFinished(() => rmSync(dirname(bundle.folder), { recursive: true, force: true }))
  return bundle
}

/** Bytes of the file and of all that it imports: at once, or `ever`, some time. */
function imported(folder: string, entry: string, ever: boolean): number {
  const seen = new Set<string>()
  const visit = (name: string): number => {
    if (seen.has(name)) return 0
    seen.add(name)
    const path = join(folder, name)
    const names = readFileSync(path, 'utf8').matchAll(ever ? /"\.\/([\w-]+\.mjs)"/g : /(?:from|import)"\.\/([\w-]+\.mjs)"/g)
    return statSync(path).size + [...names].reduce((sum, [, found]) => sum + visit(found), 0)
  }
  return visit(entry)
}

describe('synth', { timeout: 300_000 }, () => {
  it('of a job with five stages, bundled and all, takes less than 20 s of CPU', () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const program = `
      import { App, Stack } from 'aws-cdk-lib'
      import { AttributeType, Table } from 'aws-cdk-lib/aws-dynamodb'
      import { Stream } from 'aws-cdk-lib/aws-kinesis'
      import { readFileSync } from 'node:fs'
      import { StreamJob } from ${JSON.stringify(builtFile('cdk/index.js'))}
      const app = new App({ outdir: ${JSON.stringify(join(folder, 'out'))} })
      const stack = new Stack(app, 'test')
      const results = new Table(stack, 'Results', { partitionKey: { name: 'key', type: AttributeType.STRING } })
      const bindings = { words: new Stream(stack, 'Words'), results }
      const { stages } = new StreamJob(stack, 'FiveStages', { entry: ${JSON.stringify(FIVE_STAGES)}, planLock: false, bindings })
      app.synth()
      // Of this process, and of esbuild and the plan's process, which it has waited for; in hundredths of a second.
      const ticks = process.platform === 'linux' ? readFileSync('/proc/self/stat', 'utf8').replace(/.*\\)/s, '').split(' ').slice(12, 16).map(Number) : [NaN]
      console.log(JSON.stringify({ stages: stages.size, ms: Math.round(performance.now()), cpuMs: ticks.reduce((a, b) => a + b) * 10 }))`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { cwd: CWD, encoding: 'utf8' })
    expect(stdout, stderr).toContain('{')
    const { stages, ms, cpuMs } = JSON.parse(stdout)
    console.log(`synth of five stages: ${ms} ms, ${cpuMs} ms of CPU`)
    expect(stages).toBe(5)
    expect(cpuMs ?? ms).toBeLessThan(MOST_SYNTH_MS)
  })

  it('makes a bundle under 1 MB for a stage, with the SDK', () => {
    const [five, ip] = [FIVE_STAGES, IP_COUNT].map((entry) => {
      const { folder } = bundled(entry)
      const [ever, atOnce, control] = [
        imported(folder, 'stage.mjs', true),
        imported(folder, 'stage.mjs', false),
        imported(folder, 'control.mjs', true),
      ]
      console.log(
        `${entry.split('/').slice(-2).join('/')}: a stage has ${ever} bytes, of which ${atOnce} at its start; the control function ${control}`,
      )
      return { ever, atOnce }
    })
    expect(five.atOnce).toBeGreaterThan(300_000)
    expect(five.ever).toBeLessThan(MOST_BUNDLE_BYTES)
    // It has a source and a sink of every kind to choose from.
    expect(ip.ever).toBeLessThan(MOST_BUNDLE_BYTES)
  })

  it('gives the same bundle for the same sources, and no path of this machine in it', () => {
    const [first, second] = [bundled(IP_COUNT), bundled(IP_COUNT)]
    expect(second.hash).toBe(first.hash)
    for (const name of readdirSync(first.folder).filter((file) => file.endsWith('.mjs'))) {
      expect(readFileSync(join(first.folder, name), 'utf8')).not.toContain(CWD)
    }
    const source = readFileSync(FIVE_STAGES, 'utf8')
    expect(bundled(moduleOf(source)).hash).not.toBe(bundled(moduleOf(source.replace('60_000', '61_000'))).hash)
  })

  it('is not held up by what a job leaves open', () => {
    const planned = (source: string) => {
      const entry = moduleOf(`setInterval(() => {}, 1_000)\n${source}`)
      return readPlan({ folder: bundled(entry).folder, entry, parameters: [], parallelism: 1, environment: {} })
    }
    // Whoever is held up is refused, for not having been loaded within a minute.
    expect(planned(readFileSync(FIVE_STAGES, 'utf8')).job).toBe('five-stages')
    expect(() => planned("throw new Error('after all')\n")).toThrow(/PLAN_INVALID[\s\S]*after all/)
  })
})
