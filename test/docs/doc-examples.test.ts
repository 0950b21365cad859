import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { publicExports } from '../../scripts/api-docs.mjs'
import { type Example, examplesOfMarkdown, examplesOfSources, root } from './doc-examples.js'
import { SURROUNDINGS } from './surroundings.js'

const exported = publicExports()
const examples = [...examplesOfSources('runtime'), ...examplesOfMarkdown('README.md'), ...examplesOfMarkdown('docs/connectors.md')]

test('there are examples in doc comments and in the README', () => {
  expect(examples.filter((e) => e.where.startsWith('runtime/')).length).toBeGreaterThan(20)
  expect(examples.filter((e) => e.where.startsWith('README.md')).length).toBeGreaterThan(1)
})

test('every example compiles, with nothing of it undeclared', { timeout: 120_000 }, async () => {
  expect(await typeCheck(examples)).toBe('')
})

test('an example that is wrong is found', { timeout: 120_000 }, async () => {
  const wrong = { where: 'somewhere.ts:1', code: 'const n: number = env.fromElements(1).map((x) => x.length)' }
  expect(await typeCheck([wrong])).toContain("somewhere.ts:1: error TS2339: Property 'length' does not exist on type 'number'")
})

/** What tsc says of all examples in one go, each a module of its own; '' when it says nothing. */
async function typeCheck(given: readonly Example[]): Promise<string> {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'doc-examples-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const modules = given.map((example, i) => ({ ...example, file: `example-${i}.mts`, ...asModule(example) }))
  for (const module of modules) writeFileSync(join(folder, module.file), module.text)
  const compilerOptions = {
    noEmit: true,
    rootDir: root,
    noUnusedLocals: false,
    noUnusedParameters: false,
    verbatimModuleSyntax: false,
    isolatedModules: false,
  }
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions, files: modules.map((module) => module.file), include: [] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
  const said = await promisify(execFile)(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], { cwd: folder }).then(
    () => '',
    (failure: { readonly stdout: string }) => failure.stdout,
  )
  return said.replace(/^example-(\d+)\.mts\((\d+),\d+\)/gm, (_, i: string, line: string) => placeOf(modules[Number(i)], Number(line)))
}

/** The place in the documentation of a line of an example's module. */
function placeOf(module: { readonly where: string; readonly linesBefore: number }, line: number): string {
  const [, file, first] = /^(.*):(\d+)$/.exec(module.where) as RegExpExecArray
  return `${file}:${Number(first) + line - 1 - module.linesBefore}`
}

/**
 * An example that imports from `millrace` must stand for itself; another one stands amid imports of everything public that it names, and the
 * streams and types that it takes for granted.
 */
function asModule({ where, code }: Example): { readonly text: string; readonly linesBefore: number } {
  if (/^import\b[^;'"]*\bfrom 'millrace/m.test(code)) return { text: `${code}\n`, linesBefore: 0 }
  const before = [
    importOf('millrace', code),
    importOf('millrace/testing', code),
    `import type * as m from 'millrace'`,
    ...surroundingsOf(where, code),
  ]
  return { text: [...before, code, 'export {}', ''].join('\n'), linesBefore: before.length }
}

/** One line, empty when nothing is needed. */
function importOf(entry: string, code: string): string {
  const used = exported.filter(({ name, ...e }) => e.entry === entry && uses(code, name) && !declares(code, name))
  return used.length === 0 ? '' : `import { ${used.map((e) => e.name).join(', ')} } from '${entry}'`
}

function surroundingsOf(where: string, code: string): string[] {
  const file = where.replace(/:\d+$/, '')
  const own = SURROUNDINGS[file] ?? {}
  const all = { ...SURROUNDINGS.everywhere, ...own }
  const wanted = new Map<string, string>()
  const add = (text: string) => {
    for (const [name, declaration] of Object.entries(all)) {
      if (wanted.has(name) || !uses(text, name) || declares(code, name)) continue
      wanted.set(name, declaration)
      add(declaration)
    }
  }
  add(code)
  return [...wanted.values()]
}

function uses(code: string, name: string): boolean {
  return new RegExp(`(?<![\\w.$#'])${name}\\b`).test(code)
}

function declares(code: string, name: string): boolean {
  return new RegExp(`\\b(const|let|class|function|interface|type) ${name}\\b`).test(code)
}
