// Builds dist/ anew: JavaScript with types by tsc, and the data files that examples read beside their code.
import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')

rmSync(join(root, 'dist'), { recursive: true, force: true })
try {
  execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit', cwd: root })
} catch {
  process.exit(1) // tsc has said what is wrong
}
copyData(join(root, 'examples'), join(root, 'dist', 'examples'))
buildForRequire()

/** The construct for apps that are CommonJS, as `cdk init` makes them: not every loader of theirs (Jest, older ts-node) can require an ES module. */
function buildForRequire() {
  buildSync({
    entryPoints: [join(root, 'dist', 'cdk', 'index.js')],
    outfile: join(root, 'dist', 'cdk', 'index.cjs'),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    banner: { js: "const __millraceModuleUrl = require('node:url').pathToFileURL(__filename).href" },
    define: { 'import.meta.url': '__millraceModuleUrl' },
    logLevel: 'warning',
  })
}

function copyData(from, to) {
  for (const name of readdirSync(from)) {
    const path = join(from, name)
    if (statSync(path).isDirectory()) copyData(path, join(to, name))
    else if (!['.ts', '.md', '.mjs'].includes(extname(name))) cpSync(path, join(to, name))
  }
}
