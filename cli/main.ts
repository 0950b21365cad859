#!/usr/bin/env node
import { createRequire } from 'node:module'
import { CommanderError } from 'commander'
import { COMMANDS } from './commands.js'
import { formatError } from './error-report.js'
import { EXIT, exitCodeOf } from './exit-codes.js'
import { buildProgram } from './program.js'

process.setSourceMapsEnabled(true)
// `millrace … | head`: a reader that has enough is no error; a run stops (run-command.ts).
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})
process.exitCode = await main(process.argv)
// Output that is still on its way through a pipe goes first.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))))
process.exit()

async function main(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.finished
  const { version } = createRequire(import.meta.url)('millrace/package.json') as { readonly version: string }
  const program = buildProgram(COMMANDS, version, (code) => {
    exitCode = code
  })
  try {
    await program.parseAsync(argv)
    return exitCode
  } catch (thrown) {
    // commander has said what is wrong; --help and --version also end here.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.finished : EXIT.usage
    const verbose = process.env.MILLRACE_TRACE === '1' || ownArguments(argv).includes('--verbose-errors')
    process.stderr.write(`${formatError(thrown, verbose)}\n`)
    return exitCodeOf((thrown as { readonly code?: unknown } | null)?.code)
  }
}

/** Without the job's parameters, which are behind `--`. */
function ownArguments(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end < 0 ? argv : argv.slice(0, end)
}
