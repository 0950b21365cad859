// AWS on this machine: bundles local-aws/ with the engine's sources and runs its command. `--help` shows what it takes.
import { pathToFileURL } from 'node:url'
import { bundlePrograms } from './bundle-programs.mjs'

const [main, poller] = await bundlePrograms({ 'local-aws': 'local-aws/main.ts', 'local-aws-poller': 'local-aws/poller-main.ts' })
const { main: run } = await import(pathToFileURL(main).href)
try {
  await run(process.argv.slice(2), poller)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
