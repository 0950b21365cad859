// Deploys the ip-count example to AWS on this machine and lets things happen to it: node scripts/e2e.mjs [--only NAME]... [--list]. Needs dist/.
import { dirname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { bundlePrograms } from './bundle-programs.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [main, poller] = await bundlePrograms({ e2e: 'e2e/main.ts', 'e2e-poller': 'local-aws/poller-main.ts' })
const { main: run } = await import(pathToFileURL(main).href)
try {
  // Whatever still holds this process, it ends with everything it has started.
  process.exit(await run(process.argv.slice(2), root, poller))
} catch (error) {
  console.error(error)
  process.exitCode = 1
}
