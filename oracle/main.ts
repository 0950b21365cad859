import { EXCLUSIONS } from './exclusions.js'
import { differenceIn, MODES, type Mode } from './modes.js'
import { readCases } from './oracle-case.js'

const USAGE = `usage: npm run -s oracle -- DIR [--mode ${MODES.join('|')}]

Runs the cases of DIR (cases/*.json) on the engine's operators and compares with what real Apache Flink gave (expected/*.json).`

/** Prints a line for each failing case and closes with the counts; resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const at = args.indexOf('--mode')
  const mode = at < 0 ? 'plain' : args[at + 1]
  const [folder] = args.filter((_arg, i) => at < 0 || (i !== at && i !== at + 1))
  if (folder === undefined || !isMode(mode)) {
    console.error(USAGE)
    return 2
  }
  const excluded = EXCLUSIONS[mode]
  let passed = 0
  let failed = 0
  for (const stored of readCases(folder)) {
    const { name } = stored.case
    if (name in excluded) {
      console.log(`${name}: left out (${excluded[name]})`)
      continue
    }
    // A case that cannot even be described counts as failed, like any other difference.
    const difference = await differenceIn(mode, stored).catch((thrown: unknown) => String(thrown))
    if (difference === undefined) passed++
    else failed++
    if (difference !== undefined) console.log(`${name}: ${difference}`)
  }
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0 ? 0 : 1
}

function isMode(mode: string | undefined): mode is Mode {
  return MODES.some((known) => known === mode)
}

process.exitCode = await main(process.argv.slice(2))
