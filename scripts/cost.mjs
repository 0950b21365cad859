// What a job costs on AWS a month: bundles cost/main.ts with the engine's sources and runs it. `--help` shows the options.
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const outfile = join(root, '.millrace', 'cost.mjs')
await build({
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  logLevel: 'error',
  absWorkingDir: root,
  entryPoints: [join(root, 'cost', 'main.ts')],
  outfile,
})
await import(pathToFileURL(outfile).href)
