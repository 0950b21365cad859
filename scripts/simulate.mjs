// Runs the simulation of the protocol on AWS: bundles simulation/main.ts with the engine's sources, changed by --mutant NAME if that is given.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = join(root, '.millrace')
const shared = { bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external', logLevel: 'error', absWorkingDir: root }

mkdirSync(folder, { recursive: true })
const mutantName = optionValue('--mutant')
if (process.argv.includes('--mutants') && !process.argv.some((argument) => argument === '--help' || argument === '-h')) {
  process.exit(await timeMutants(mutantsOptions()))
}
const { applyMutant, mutantNamed } = await loadMutants()
const mutant = mutantName === undefined ? undefined : mutantNamed(mutantName)
if (mutantName !== undefined && mutant === undefined) {
  console.error(`There is no mutant "${mutantName}"; --list-mutants shows them.`)
  process.exit(2)
}
const outfile = join(folder, `simulation-${mutantName ?? 'plain'}.mjs`)
const applied = new Set()
try {
  await build({
    ...shared,
    entryPoints: [join(root, 'simulation', 'main.ts')],
    outfile,
    sourcemap: 'inline',
    sourcesContent: false,
    plugins: mutant === undefined ? [] : [mutation(mutant)],
  })
} catch (error) {
  // Not 1, which says that something was found.
  console.error(error.message)
  process.exit(2)
}
const missed = mutant === undefined ? [] : mutant.edits.filter(({ file }) => !applied.has(file))
if (missed.length > 0) {
  console.error(`The mutant "${mutantName}" changes ${missed.map(({ file }) => file).join(', ')}, which the simulation does not run.`)
  process.exit(2)
}
await import(pathToFileURL(outfile).href)

/** The options that `--mutants` goes with. It runs simulations one after the other, each in a process of its own, and takes no others of theirs. */
function mutantsOptions() {
  const text = { type: 'string' }
  const flag = { type: 'boolean' }
  try {
    const { values } = parseArgs({ options: { mutants: flag, json: flag, only: text, within: text, workers: text } })
    const { within = '20000', workers = '1', only } = values
    for (const [name, value] of Object.entries({ within, workers })) {
      if (!/^[1-9]\d*$/.test(value)) throw new Error(`--${name} is "${value}": give a whole number from 1.`)
    }
    return { within, workers, only: only?.split(',') }
  } catch (error) {
    console.error(error.message)
    process.exit(2)
  }
}

/** Runs every mutant until it is found: a line of JSON for each, and exit code 1 if one is not found within so many seeds. */
async function timeMutants({ within, workers, only }) {
  const { MUTANTS } = await loadMutants()
  const unknown = only?.find((name) => MUTANTS.every((mutant) => mutant.name !== name))
  if (unknown !== undefined) {
    console.error(`There is no mutant "${unknown}"; --list-mutants shows them.`)
    return 2
  }
  let missed = 0
  for (const { name } of MUTANTS.filter((mutant) => only === undefined || only.includes(mutant.name))) {
    const args = ['--mutant', name, '--seeds', `1-${within}`, '--workers', workers, '--json']
    const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...args], { encoding: 'utf8' })
    const { seeds, violations = [], seconds } = status === 0 || status === 1 ? JSON.parse(stdout) : {}
    const { seed, profile, invariant } = violations.toSorted((a, b) => a.seed - b.seed)[0] ?? {}
    if (seed === undefined) missed++
    console.log(JSON.stringify({ mutant: name, seed: seed ?? null, profile, invariant, seeds, seconds, ...(stderr === '' ? {} : { stderr }) }))
  }
  return missed === 0 ? 0 : 1
}

function optionValue(option) {
  const at = process.argv.findIndex((argument) => argument === option || argument.startsWith(`${option}=`))
  if (at < 0) return undefined
  return process.argv[at].includes('=') ? process.argv[at].slice(option.length + 1) : process.argv[at + 1]
}

async function loadMutants() {
  const outfile = join(folder, 'simulation-mutants.mjs')
  await build({ ...shared, entryPoints: [join(root, 'simulation', 'mutants.ts')], outfile })
  return import(pathToFileURL(outfile).href)
}

/** Gives esbuild the changed text of a file in place of its own. */
function mutation({ name, edits }) {
  return {
    name: 'mutation',
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]runtime[\\/].*\.ts$/ }, async ({ path }) => {
        const file = relative(root, path).split(sep).join('/')
        const here = edits.filter((edit) => edit.file === file)
        if (here.length === 0) return undefined
        const { readFile } = await import('node:fs/promises')
        applied.add(file)
        return { contents: applyMutant(name, here, await readFile(path, 'utf8')), loader: 'ts' }
      })
    },
  }
}
