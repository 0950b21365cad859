// Packs the package, installs it in an empty project, and runs a job and the command there on each supported Node version.
import { execFileSync, spawnSync } from 'node:child_process'
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const NODE_VERSIONS = ['20.19.0', '22', '24']
const MOST_INSTALLED_MB = 60
const work = mkdtempSync(join(tmpdir(), 'millrace-package-'))
const windows = process.platform === 'win32'
const npm = (cwd, ...args) =>
  execFileSync(windows ? 'npm.cmd' : 'npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], shell: windows })

function check(condition, what) {
  if (!condition) throw new Error(`FAILED: ${what}`)
  console.log(`ok: ${what}`)
}

function sizeOf(path) {
  const stat = lstatSync(path)
  return stat.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0) : stat.size
}

const JOB = `
import { defineJob, TumblingEventTimeWindows, WatermarkStrategy, type Collector } from 'millrace'
import { label } from '@/label'

export default defineJob('packed', env => {
  env.fromCollection([{ k: 'a', t: 1 }, { k: 'b', t: 2 }, { k: 'a', t: 1500 }])
    .assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps<{ k: string; t: number }>().withTimestampAssigner(e => e.t))
    .keyBy(e => e.k)
    .window(TumblingEventTimeWindows.of(1000))
    .process({ process(k, ctx, elements, out: Collector<string>) { out.collect(label(k, ctx.window.start, [...elements].length)) } })
    .print()
})
`
const LABEL = "export const label = (k: string, start: number, n: number): string => [k, start, n].join(' ')\n"
const RUN = `
import { defineJob, run } from 'millrace'
import { SourceHarness } from 'millrace/testing'
if (typeof SourceHarness !== 'function') throw new Error('millrace/testing has no SourceHarness')
const handle = await run(defineJob('inline', env => void env.fromElements(1, 2, 3).map(n => n * 2).collect('out')))
const { collected } = await handle.result()
console.log(JSON.stringify(collected.out))
`

try {
  const [{ filename }] = JSON.parse(npm(root, 'pack', '--json', '--ignore-scripts', '--pack-destination', work))
  const project = join(work, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'user-project', private: true, type: 'module' }))
  npm(project, 'install', '--no-audit', '--no-fund', join(work, filename))
  const installedMb = sizeOf(join(project, 'node_modules')) / 2 ** 20
  check(installedMb < MOST_INSTALLED_MB, `installed with its dependencies it has ${installedMb.toFixed(1)} MB, under ${MOST_INSTALLED_MB}`)
  const { scripts = {} } = JSON.parse(readFileSync(join(project, 'node_modules', 'millrace', 'package.json'), 'utf8'))
  check(!['preinstall', 'install', 'postinstall'].some((name) => name in scripts), 'it has no install script of its own')

  mkdirSync(join(project, 'src'))
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: { paths: { '@/*': ['./src/*'] } } }))
  writeFileSync(join(project, 'src', 'label.ts'), LABEL)
  writeFileSync(join(project, 'job.ts'), JOB)
  writeFileSync(join(project, 'run.mjs'), RUN)

  for (const version of NODE_VERSIONS) {
    const node = nodeBinary(version)
    const label = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
    check(label.startsWith(`v${version.split('.')[0]}.`), `${label} runs`)
    check(output(node, project, ['run.mjs']) === '[2,4,6]', `${label}: a program runs a job`)
    for (const parallelism of ['1', '2']) {
      const command = ['node_modules/millrace/dist/cli/main.js', 'run', 'job.ts', '--quiet', '--parallelism', parallelism]
      const printed = output(node, project, command)
        .split('\n')
        .map((line) => line.replace(/^\d> /, ''))
        .sort()
      check(
        JSON.stringify(printed) === JSON.stringify(['a 0 1', 'a 1000 1', 'b 0 1']),
        `${label}: millrace run job.ts --parallelism ${parallelism} prints its windows`,
      )
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}

/** A Node of this version from the npm registry, without running install scripts. */
function nodeBinary(version) {
  const platform = { win32: 'win', darwin: 'darwin', linux: 'linux' }[process.platform]
  const folder = join(work, `node-${version}`)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }))
  const name = `node-${platform}-${process.arch}`
  npm(folder, 'install', '--no-audit', '--no-fund', '--ignore-scripts', `${name}@${version}`)
  return join(folder, 'node_modules', name, 'bin', windows ? 'node.exe' : 'node')
}

function output(node, cwd, args) {
  const { status, stdout, stderr } = spawnSync(node, args, { cwd, encoding: 'utf8', timeout: 60_000 })
  if (status !== 0) throw new Error(`FAILED: node ${args.join(' ')} ended with ${status}\n${stdout}\n${stderr}`)
  return stdout.trim()
}
