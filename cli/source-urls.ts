import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Loader, Plugin } from 'esbuild'

/** `import.meta` of the bundle would be the bundle's; these make it the source file's, together with {@link sourceUrls}. */
export const SOURCE_URL_DEFINES = {
  'import.meta.url': '__millraceUrl',
  'import.meta.filename': '__millraceFilename',
  'import.meta.dirname': '__millraceDirname',
}

/** Declares the constants of {@link SOURCE_URL_DEFINES} in each file that may use them; esbuild renames them where files meet. */
export function sourceUrls(): Plugin {
  return {
    name: 'millrace-source-urls',
    setup(build) {
      build.onLoad({ filter: /\.[mc]?[jt]sx?$/, namespace: 'file' }, async ({ path }) => {
        const source = await readFile(path, 'utf8')
        if (!source.includes('import.meta')) return undefined
        // On the first line, so that line numbers stay; behind a #! line, which must be first.
        const hashbang = /^#!.*\n/.exec(source)?.[0] ?? ''
        const [url, filename, folder] = [pathToFileURL(path).href, path, dirname(path)].map((text) => JSON.stringify(text))
        const constants = `const __millraceUrl = ${url}, __millraceFilename = ${filename}, __millraceDirname = ${folder}; `
        return { contents: hashbang + constants + source.slice(hashbang.length).replace(/^\uFEFF/, ''), loader: loaderOf(path) }
      })
    },
  }
}

function loaderOf(path: string): Loader {
  if (path.endsWith('.tsx')) return 'tsx'
  if (path.endsWith('.jsx')) return 'jsx'
  return /\.[mc]?ts$/.test(path) ? 'ts' : 'js'
}
