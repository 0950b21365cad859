import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { cruise, type ICruiseOptions, type ICruiseResult } from 'dependency-cruiser'
import { transform } from 'esbuild'
import { glob } from 'tinyglobby'

const ROOTS = ['runtime', 'functions', 'cdk', 'cli', 'console', 'examples', 'bench', 'oracle', 'simulation', 'cost']

export interface Violation {
  readonly rule: string
  readonly from: string
  readonly to: string
}

export interface ImportGraph {
  readonly files: readonly string[]
  readonly violations: readonly Violation[]
}

/**
 * Runs dependency-cruiser with `.dependency-cruiser.cjs` over a JavaScript mirror of the sources. dependency-cruiser reads
 * TypeScript only through the compiler's JavaScript API, which TypeScript 7 does not have.
 * The room rules see type imports as well (the mirror keeps them as plain imports); the rule against cycles sees values only.
 */
export async function readImportGraph(root: string): Promise<ImportGraph> {
  const config = createRequire(join(root, 'package.json'))('./.dependency-cruiser.cjs') as {
    readonly forbidden: readonly { readonly name: string }[]
    readonly options: ICruiseOptions
  }
  const aboutValues = (rule: { readonly name: string }): boolean => rule.name === 'no-circular' || rule.name === 'shipped-code-has-its-libraries'
  const typed = await cruiseMirror(root, withTypeImports, { ...config, forbidden: config.forbidden.filter((rule) => !aboutValues(rule)) })
  const values = await cruiseMirror(root, (source) => source, { ...config, forbidden: config.forbidden.filter(aboutValues) })
  return { files: typed.files, violations: [...typed.violations, ...values.violations] }
}

/** `import type` and `export type … from` become imports of values, so that they stay in the mirror. */
function withTypeImports(source: string): string {
  return source
    .replace(/^(\s*)(import|export)\s+type\s+(?=[{*])/gm, '$1$2 ')
    .replace(/^(\s*)import\s+type\s+(?=\w+\s+from\b)/gm, '$1import ')
    .replace(/\bimport\((['"][^'"]+['"])\)\.(?=[A-Z])/g, '(await import($1)).')
}

async function cruiseMirror(
  root: string,
  prepare: (source: string) => string,
  config: { readonly forbidden: readonly unknown[]; readonly options: ICruiseOptions },
): Promise<ImportGraph> {
  const cache = join(root, '.millrace')
  await mkdir(cache, { recursive: true })
  const mirror = await mkdtemp(join(cache, 'import-graph-'))
  try {
    const sources = await glob(
      ROOTS.map((name) => `${name}/**/*.ts`),
      { cwd: root, ignore: ['**/node_modules/**', 'bench/flink/**', '**/*.d.ts'] },
    )
    await Promise.all(sources.map(async (file) => mirrorFile(join(root, file), join(mirror, file.replace(/\.ts$/, '.js')), prepare)))
    // In the mirror `millrace` is its own sources, not dist.
    const manifest = await readFile(join(root, 'package.json'), 'utf8')
    await writeFile(join(mirror, 'package.json'), manifest.replaceAll('"./dist/', '"./').replaceAll('.d.ts"', '.js"'))
    const present = ROOTS.filter((name) => sources.some((file) => file.startsWith(`${name}/`)))
    const output = (
      await cruise(present, { ...config.options, baseDir: mirror, validate: true, ruleSet: { forbidden: config.forbidden } } as ICruiseOptions)
    ).output as ICruiseResult
    return {
      files: output.modules.map((module) => module.source).filter((file) => present.includes(file.split('/')[0] as string)),
      violations: output.summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to })),
    }
  } finally {
    await rm(mirror, { recursive: true, force: true })
  }
}

async function mirrorFile(from: string, to: string, prepare: (source: string) => string): Promise<void> {
  const { code } = await transform(prepare(await readFile(from, 'utf8')), {
    loader: 'ts',
    format: 'esm',
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  })
  await mkdir(dirname(to), { recursive: true })
  await writeFile(to, code)
}
