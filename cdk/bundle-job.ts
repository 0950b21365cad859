import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, buildSync } from 'esbuild'
import type { DeploymentPlan } from '../functions/deployment-plan.js'
import { MillraceError } from '../runtime/core/index.js'

export interface JobEntry {
  /** Path of the module that exports the job. */
  readonly entry: string
  readonly parameters: readonly string[]
  readonly parallelism: number | undefined
}

/** Bundles the job with its functions into `index.mjs` of a folder, for Lambda: exports `stage`, `checkpoint` and `activate`. Returns the folder. */
export function bundleFunctions(entry: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-functions-'))
  bundle(
    [
      `import job from ${JSON.stringify(resolve(entry))}`,
      `import { stageHandler } from ${JSON.stringify(engineFile('functions/stage-handler'))}`,
      `import { activationHandler } from ${JSON.stringify(engineFile('functions/activation-handler'))}`,
      `import { checkpointHandler } from ${JSON.stringify(engineFile('functions/checkpoint-handler'))}`,
      `import { controlHandler } from ${JSON.stringify(engineFile('functions/control-handler'))}`,
      'export const stage = stageHandler(job)',
      'export const control = controlHandler(job)',
      'export const checkpoint = checkpointHandler(job)',
      'export const activate = activationHandler(job)',
    ],
    { outfile: join(folder, 'index.mjs'), target: 'node22', minify: true, keepNames: true, sourcemap: 'linked', sourcesContent: false },
  )
  return folder
}

/** Loads the job in a process of its own and returns what there is to deploy. Throws with what that process had to say. */
export function readDeploymentPlan({ entry, parameters, parallelism }: JobEntry): DeploymentPlan {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-plan-'))
  try {
    const program = join(folder, 'plan.mjs')
    const answer = join(folder, 'plan.json')
    bundle(
      [
        "import { writeFileSync } from 'node:fs'",
        `import job from ${JSON.stringify(resolve(entry))}`,
        `import { asJob } from ${JSON.stringify(engineFile('functions/deployed-job'))}`,
        `import { deploymentPlan } from ${JSON.stringify(engineFile('functions/deployment-plan'))}`,
        'try {',
        `  const plan = deploymentPlan(asJob(job), ${JSON.stringify({ parameters, parallelism })})`,
        '  writeFileSync(process.argv[2], JSON.stringify(plan))',
        '} catch (error) {',
        '  console.error(error.code === undefined ? error : error.message)',
        '  process.exitCode = 1',
        '}',
      ],
      { outfile: program, target: 'node20' },
    )
    // What a job prints while it is loaded goes nowhere.
    const { status, stderr, error } = spawnSync(process.execPath, [program, answer], { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' })
    if (status === 0) return JSON.parse(readFileSync(answer, 'utf8')) as DeploymentPlan
    throw new MillraceError('PLAN_INVALID', { what: `the job cannot be deployed\n${stderr.trim()}`, where: entry, cause: error })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Packages that Lambda brings nothing for go in whole; CommonJS ones among them call `require`. */
const REQUIRE_BANNER = `import { createRequire as __millraceCreateRequire } from 'node:module'; const require = __millraceCreateRequire(import.meta.url);`

function bundle(lines: readonly string[], options: BuildOptions): void {
  buildSync({
    stdin: { contents: lines.join('\n'), resolveDir: dirname(fileURLToPath(import.meta.url)), sourcefile: 'entry.mjs', loader: 'js' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    mainFields: ['module', 'main'],
    banner: { js: REQUIRE_BANNER },
    // One copy of the engine: that of this construct, whatever the job's own tsconfig.json maps `millrace` to.
    alias: { millrace: engineFile('runtime/index') },
    // Speeds msgpackr up where it is installed, which it is not on Lambda.
    external: ['msgpackr-extract'],
    logLevel: 'warning',
    ...options,
  })
}

/** A file of this package: compiled, or its source when this runs from source. */
function engineFile(name: string): string {
  const compiled = fileURLToPath(new URL(`../${name}.js`, import.meta.url))
  return existsSync(compiled) ? compiled : compiled.replace(/\.js$/, '.ts')
}
