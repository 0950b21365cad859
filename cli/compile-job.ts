import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type BuildFailure, build, type Message } from 'esbuild'
import { MillraceError } from '../runtime/core/index.js'
import { packageImports } from './package-imports.js'
import { SOURCE_URL_DEFINES, sourceUrls } from './source-urls.js'

/** CommonJS files in the bundle call `require` of packages; esbuild renames a `require` that the job itself declares. */
const REQUIRE_BANNER = `import { createRequire as __millraceCreateRequire } from 'node:module'; const require = __millraceCreateRequire(import.meta.url);`

/** What is imported: source maps apply to modules loaded after they are switched on, which a worker thread does for itself. */
const ENTRY = `process.setSourceMapsEnabled(true)\nexport default (await import('./bundle.mjs')).default\n`

/**
 * Compiles a TypeScript job and its local files into one ES module and returns the path of the module with its default export. Packages
 * stay imports, so it lies where they resolve as they do from the job: `node_modules/.cache/millrace/<hash>/job.mjs` beside the nearest
 * package.json, or `.millrace/<hash>/job.mjs` beside a job that has none. The hash is of the content: the same job is the same file, and
 * a file that worker threads of a running job may still import is never changed.
 *
 * Types are stripped, not checked. Throws JOB_COMPILE with file, line and column of the first error, STORAGE when the place cannot be written.
 */
export async function compileJob(file: string): Promise<string> {
  const cache = cacheFolder(dirname(file))
  // Only for source maps and imports, which depend on the depth of the folder, not on its name.
  const code = await bundle(file, join(cache, '0'.repeat(16), 'bundle.mjs'))
  const folder = join(cache, createHash('sha256').update(code).digest('hex').slice(0, 16))
  const entry = join(folder, 'job.mjs')
  if (!existsSync(entry)) {
    await writeModule(join(folder, 'bundle.mjs'), code)
    await writeModule(entry, ENTRY)
  }
  return entry
}

function cacheFolder(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json'))) return join(at, 'node_modules', '.cache', 'millrace')
    if (dirname(at) === at) return join(folder, '.millrace')
  }
}

async function bundle(file: string, outfile: string): Promise<Uint8Array> {
  try {
    const result = await build({
      entryPoints: [file],
      outfile,
      write: false,
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      // Without `module`, which Node does not know: what esbuild resolves is what Node would.
      conditions: [],
      sourcemap: 'inline',
      banner: { js: REQUIRE_BANNER },
      define: SOURCE_URL_DEFINES,
      plugins: [packageImports(dirname(outfile)), sourceUrls()],
      logLevel: 'silent',
    })
    return result.outputFiles[0]?.contents as Uint8Array
  } catch (thrown) {
    const errors = (thrown as Partial<BuildFailure>).errors
    if (errors === undefined || errors.length === 0) throw new MillraceError('JOB_COMPILE', { what: 'esbuild failed', where: file, cause: thrown })
    throw compileError(errors as [Message, ...Message[]])
  }
}

function compileError(errors: readonly [Message, ...Message[]]): MillraceError {
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
  const places = errors.slice(0, 5).map(({ text, location }, index) => {
    const place = location === null ? '' : `${location.file}:${location.line}:${location.column + 1}`
    return index === 0 ? `${place}${location === null ? '' : `\n    ${location.lineText.trim()}`}` : `\n  and: ${place} ${text}`
  })
  const missing = /^Could not resolve "([^"]+)"/.exec(errors[0].text)?.[1]
  return new MillraceError('JOB_COMPILE', {
    what: `The job does not compile: ${errors[0].text}${more}`,
    where: places.join(''),
    todo: missing === undefined ? 'Mend the line above.' : missingTodo(missing),
  })
}

function missingTodo(specifier: string): string {
  if (/^[./#]/.test(specifier)) return 'Check the path, and the paths of tsconfig.json.'
  return `Install the package (npm install ${specifier}), or map it in the paths of tsconfig.json.`
}

async function writeModule(target: string, code: Uint8Array | string): Promise<void> {
  const aside = `${target}.${randomUUID()}`
  try {
    await mkdir(dirname(target), { recursive: true })
    await writeFile(aside, code)
    await rename(aside, target)
  } catch (cause) {
    await rm(aside, { force: true })
    throw new MillraceError('STORAGE', {
      what: 'The compiled job cannot be written',
      where: target,
      todo: 'Make the folder writable, or compile the job beforehand and run the .js file.',
      cause,
    })
  }
}
