import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildFailure, type BuildResult, buildSync } from 'esbuild'
import { MillraceError } from '../runtime/core/index.js'

/** A job's code as Lambda gets it, one asset for all its functions. */
export interface JobBundle {
  /** Holds `stage.mjs` and `control.mjs`, each with a `handler`, `plan.mjs`, what they share, and their source maps. */
  readonly folder: string
  /** Of the code without its maps: the same wherever the same sources are bundled. SHA-256 in hexadecimal digits. */
  readonly hash: string
}

export interface BundleOptions {
  /** Whether functions put secrets into the environment before they load the job. */
  readonly secrets: boolean
}

type Entry = (importOfJob: string) => readonly string[]

/**
 * What the entry files say. `import *`, since a module without a default export shall be told so by the job's own check. The stage's entry holds
 * nothing that only the control function needs: a stage starts cold more often, and with more at stake.
 */
const ENTRIES: Readonly<Record<string, Entry>> = {
  stage: (job) => [
    job,
    `import { stageHandler } from ${quoted(engineFile('functions/stage-handler'))}`,
    'export const handler = stageHandler(job.default)',
  ],
  control: (job) => [
    job,
    `import { controlHandler } from ${quoted(engineFile('functions/control-handler'))}`,
    'export const handler = controlHandler(job.default)',
  ],
  plan: (job) => [
    job,
    `import { asJob } from ${quoted(engineFile('functions/deployed-job'))}`,
    `import { synthesisedPlan } from ${quoted(engineFile('functions/deployment-plan'))}`,
    'export const plan = (options) => synthesisedPlan(asJob(job.default), options)',
  ],
}

const IMPORT = (file: string) => `import * as job from ${quoted(file)}`

/** A module that is imported by its name would be loaded before. */
const IMPORT_BEHIND_SECRETS = (file: string) =>
  [
    `import { loadSecrets } from ${quoted(engineFile('functions/load-secrets'))}`,
    'await loadSecrets(process.env)',
    `const job = await import(${quoted(file)})`,
  ].join('\n')

/** Packages that Lambda brings nothing for go in whole; CommonJS ones among them call `require`. */
const REQUIRE_BANNER = `import { createRequire as __millraceCreateRequire } from 'node:module'; const require = __millraceCreateRequire(import.meta.url);`

/** Ways to credentials that people use. A function finds its own in its environment, where the SDK looks first. */
const NOT_ON_LAMBDA = [
  '@aws-sdk/credential-provider-ini',
  '@aws-sdk/credential-provider-login',
  '@aws-sdk/credential-provider-process',
  '@aws-sdk/credential-provider-sso',
  '@aws-sdk/credential-provider-web-identity',
  '@aws-sdk/token-providers',
]

/** What is there at synth and not in a function. */
const SYNTH_PACKAGES = ['aws-cdk-lib', 'constructs']

/** Bundles the job and the engine once, for all functions. Throws JOB_NOT_FOUND, JOB_COMPILE, PACKAGE_MISSING, and PLAN_INVALID for a job that reaches for constructs. */
export function bundleJob(entry: string, { secrets }: BundleOptions = { secrets: false }): JobBundle {
  const file = resolve(entry)
  if (!existsSync(file)) {
    throw new MillraceError('JOB_NOT_FOUND', {
      what: `there is no job module ${file}`,
      todo: 'Set `entry` to the path of the module, from the folder where cdk is called, or whole.',
    })
  }
  const work = mkdtempSync(join(tmpdir(), 'millrace-bundle-'))
  const folder = join(work, 'functions')
  const entries = join(work, 'entries')
  mkdirSync(entries)
  for (const [name, lines] of Object.entries(ENTRIES)) {
    const job = name === 'plan' || !secrets ? IMPORT(file) : IMPORT_BEHIND_SECRETS(file)
    writeFileSync(join(entries, `${name}.mjs`), lines(job).join('\n'))
  }
  const { metafile } = build(entry, {
    entryPoints: Object.keys(ENTRIES).map((name) => join(entries, `${name}.mjs`)),
    outdir: folder,
  })
  refuseConstructs(entry, metafile)
  return { folder, hash: hashOf(folder) }
}

function build(entry: string, { entryPoints, outdir }: { readonly entryPoints: string[]; readonly outdir: string }) {
  try {
    return buildSync({
      entryPoints,
      outdir,
      outExtension: { '.js': '.mjs' },
      chunkNames: 'shared-[hash]',
      bundle: true,
      // What a call does not need (credentials of other kinds, the control's clients) stands in files of its own, which nothing reads then.
      splitting: true,
      format: 'esm',
      platform: 'node',
      // Also that Node which runs the synth must understand it.
      target: 'node20',
      mainFields: ['module', 'main'],
      minify: true,
      keepNames: true,
      // Beside the code and read only when an error is logged: to start with --enable-source-maps takes 20 ms longer.
      sourcemap: 'linked',
      sourcesContent: false,
      metafile: true,
      banner: { js: REQUIRE_BANNER },
      // One copy of the engine: that of this construct, whatever the job's own tsconfig.json maps `millrace` to.
      alias: { millrace: engineFile('runtime/index') },
      // The first speeds msgpackr up where it is installed, which it is not on Lambda.
      external: ['msgpackr-extract', ...NOT_ON_LAMBDA, ...SYNTH_PACKAGES.flatMap((name) => [name, `${name}/*`])],
      logLevel: 'silent',
    })
  } catch (thrown) {
    const { errors = [] } = thrown as Partial<BuildFailure>
    const missing = errors.flatMap(({ text }) => /^Could not resolve "(@aws-sdk\/[^"]+)"/.exec(text)?.[1] ?? [])
    if (missing.length > 0) throw packagesMissing([...new Set(missing)].sort())
    const said = errors.map(({ text, location }) => (location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`))
    throw new MillraceError('JOB_COMPILE', {
      what: `the job cannot be bundled\n${said.length === 0 ? String(thrown) : said.join('\n')}`,
      where: entry,
      todo: 'Mend what esbuild has found.',
      cause: thrown,
    })
  }
}

/** Who runs jobs in one process needs none of them, so they do not come with this package. */
function packagesMissing(names: readonly string[]): MillraceError {
  return new MillraceError('PACKAGE_MISSING', {
    what: `the functions of a job need packages that are not installed: ${names.join(', ')}`,
    todo: `Run: npm install --save-dev ${names.join(' ')}`,
  })
}

function refuseConstructs(entry: string, { inputs }: NonNullable<BuildResult['metafile']>): void {
  for (const [file, { imports }] of Object.entries(inputs)) {
    const reached = imports.find(({ path, external }) => external && SYNTH_PACKAGES.some((name) => path === name || path.startsWith(`${name}/`)))
    if (reached === undefined) continue
    throw new MillraceError('PLAN_INVALID', {
      what: `the job imports ${reached.path}, which is there when a stack is synthesised, not when a function runs`,
      where: `${relative(process.cwd(), resolve(file))}, reached from ${entry}`,
      todo: 'Keep the job in a module of its own. What it needs of the stack comes by its logical name (`bindings`), `parameters` or `environment`.',
    })
  }
}

/** Names of shared files are hashes of what they hold. */
function hashOf(folder: string): string {
  const hash = createHash('sha256')
  for (const name of readdirSync(folder).sort()) {
    if (name.endsWith('.mjs')) hash.update(`${name}\n`).update(readFileSync(join(folder, name)))
  }
  return hash.digest('hex')
}

/** A file of this package: compiled, or its source when this runs from source. */
function engineFile(name: string): string {
  const compiled = fileURLToPath(new URL(`../${name}.js`, import.meta.url))
  return existsSync(compiled) ? compiled : compiled.replace(/\.js$/, '.ts')
}

function quoted(path: string): string {
  return JSON.stringify(path)
}
