import { existsSync, realpathSync } from 'node:fs'
import { builtinModules, createRequire } from 'node:module'
import { dirname, isAbsolute, join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { OnResolveArgs, OnResolveResult, Plugin } from 'esbuild'

/**
 * Keeps npm packages out of a job's bundle and everything else in. A bare specifier stays an import when it names a package in
 * node_modules; what the nearest tsconfig.json maps to local files (`paths`, `baseUrl`), or a linked workspace package written in
 * TypeScript, is bundled, since Node could not import it. A specifier that leads nowhere is left to esbuild, which reports its place.
 *
 * `outDir` is where the bundle will be imported from: a package that is not found from there is named by its file instead.
 */
export function packageImports(outDir: string): Plugin {
  return {
    name: 'millrace-package-imports',
    setup(build) {
      build.onResolve({ filter: /^[^./#]/ }, async (args): Promise<OnResolveResult | undefined> => {
        if (args.pluginData === LOOKING || args.kind === 'entry-point' || isNotPackage(args.path)) return undefined
        const name = packageName(args.path)
        if (name === 'millrace') {
          const url = millraceUrl(args.path, args.resolveDir)
          return url === undefined ? undefined : { path: url, external: true }
        }
        const folder = findPackage(name, args.resolveDir)
        const { kind, importer, resolveDir } = args
        const target = await build.resolve(args.path, { kind, importer, resolveDir, pluginData: LOOKING })
        if (target.errors.length > 0) return folder === undefined ? undefined : { path: args.path, external: true }
        if (target.external || !isInPackage(target.path, folder)) return undefined
        return { path: specifierFrom(outDir, args, folder, target.path), external: true }
      })
    },
  }
}

/**
 * URL of Millrace's module `specifier` for code in `folder`: the copy installed there, else the one this command belongs to, so that
 * a job runs without any package.json. undefined when neither is built.
 */
export function millraceUrl(specifier: string, folder: string): string | undefined {
  for (const from of [pathToFileURL(join(folder, 'job.js')).href, import.meta.url]) {
    try {
      return pathToFileURL(createRequire(from).resolve(specifier)).href
    } catch {
      // Not installed there (or not built): the next place may have it.
    }
  }
  return undefined
}

const LOOKING = Symbol('resolving for the plugin')

function isNotPackage(path: string): boolean {
  return isAbsolute(path) || /^[a-z]+:/i.test(path) || builtinModules.includes(path)
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** The folder `node_modules/<name>` that Node would find from `folder`. */
function findPackage(name: string, folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const candidate = join(at, 'node_modules', name)
    if (existsSync(candidate)) return candidate
    if (dirname(at) === at) return undefined
  }
}

function isInPackage(path: string, folder: string | undefined): boolean {
  if (path.includes(`${sep}node_modules${sep}`)) return true
  const linked = folder !== undefined && path.startsWith(realpathSync(folder) + sep)
  return linked && !/\.[mc]?tsx?$/.test(path)
}

function specifierFrom(outDir: string, args: OnResolveArgs, folder: string | undefined, target: string): string {
  const seen = findPackage(packageName(args.path), outDir)
  const same = folder !== undefined && seen !== undefined && realpathSync(seen) === realpathSync(folder)
  return same ? args.path : pathToFileURL(target).href
}
