// Runs the simulation of the protocol on AWS: bundles simulation/main.ts with the engine's sources, changed by --mutant NAME if that is given.
import { mkdirSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = join(root, '.millrace')
const shared = { bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external', logLevel: 'error', absWorkingDir: root }

mkdirSync(folder, { recursive: true })
const mutantName = optionValue('--mutant')
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
