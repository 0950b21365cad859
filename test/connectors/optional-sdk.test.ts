import { buildSync } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { builtFile } from '../examples/run-example.js'

/** Packages that a program imports by importing a file of this package: at once, or when it comes to need them. */
function importedPackages(entry: string): { readonly atOnce: readonly string[]; readonly later: readonly string[] } {
  const { metafile } = buildSync({
    entryPoints: [builtFile(entry)],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    outdir: 'unwritten',
    write: false,
    metafile: true,
  })
  const closure = (file: string, kinds: readonly string[], seen = new Set<string>()): Set<string> => {
    if (seen.has(file)) return seen
    seen.add(file)
    for (const { path, kind } of metafile.outputs[file]?.imports ?? []) if (kinds.includes(kind)) closure(path, kinds, seen)
    return seen
  }
  const [output] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint?.endsWith(entry)) ?? ['']
  const packagesOf = (...kinds: string[]) => [...closure(output, kinds)].filter((path) => metafile.outputs[path] === undefined).sort()
  const atOnce = packagesOf('import-statement')
  return { atOnce, later: packagesOf('import-statement', 'dynamic-import').filter((name) => !atOnce.includes(name)) }
}

describe('clients of the AWS SDK', () => {
  it.each(['runtime/index.js', 'cli/main.js'])('are optional: %s imports none before it is needed', (entry) => {
    const { atOnce, later } = importedPackages(entry)
    expect(atOnce.filter((name) => /^@(?:aws-sdk|smithy)\//.test(name))).toEqual([])
    // So they would be seen.
    expect(later).toEqual(expect.arrayContaining(['@aws-sdk/client-dynamodb', '@aws-sdk/client-kinesis', '@aws-sdk/client-s3']))
  })
})
