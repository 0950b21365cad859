// Bundles programs written in TypeScript that are not part of the package, each into a file of .millrace/.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** `programs` names a file for each entry: `{ 'local-aws': 'local-aws/main.ts' }`. Resolves to the paths of the programs, in that order. */
export async function bundlePrograms(programs) {
  const files = Object.entries(programs).map(([name, entry]) => ({ entry: join(root, entry), outfile: join(root, '.millrace', `${name}.mjs`) }))
  for (const { entry, outfile } of files) {
    await build({
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      packages: 'external',
      // Knows where it stands; the folders of the sources and of the programs are as deep.
      external: ['*/aws-servers.mjs'],
      sourcemap: 'inline',
      sourcesContent: false,
      logLevel: 'error',
      absWorkingDir: root,
      entryPoints: [entry],
      outfile,
    })
  }
  return files.map(({ outfile }) => outfile)
}
