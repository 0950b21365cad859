// Writes docs/api/ anew: every public export of `millrace` and `millrace/testing` with its declaration and doc comment.
// It reads the declarations that tsc emits from runtime/, so dist/ need not be built. With --check it writes nothing and
// exits with 1 if docs/api/ is not what the sources say.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { SyntaxKind } from 'typescript/unstable/ast'
import { API, SymbolFlags } from 'typescript/unstable/sync'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = join(root, 'docs', 'api')

/** A page for each room whose declarations are public; the first prefix that fits a file counts. */
const PAGES = [
  { page: 'windows', title: 'Windows, triggers, evictors', files: ['runtime/operators/window/', 'runtime/core/windows', 'runtime/api/windowing/'] },
  { page: 'streams', title: 'Jobs and streams', files: ['runtime/api/', 'runtime/operators/', 'runtime/plan/', 'runtime/core/key-type'] },
  {
    page: 'state',
    title: 'State and accumulators',
    files: ['runtime/core/state', 'runtime/core/accumulators', 'runtime/core/checkpointed-function'],
  },
  { page: 'functions', title: 'Functions', files: ['runtime/core/functions', 'runtime/core/output-tag', 'runtime/core/partitioning'] },
  { page: 'time', title: 'Time and watermarks', files: ['runtime/core/time', 'runtime/core/watermark'] },
  { page: 'sources-and-sinks', title: 'Contracts of sources and sinks', files: ['runtime/core/source', 'runtime/core/sink', 'runtime/core/serde'] },
  { page: 'errors', title: 'Errors', files: ['runtime/core/'] },
  { page: 'connectors', title: 'Connectors', files: ['runtime/connectors/', 'runtime/ports/', 'runtime/backends/'] },
  { page: 'running', title: 'Running a job', files: ['runtime/local/', 'runtime/checkpoint/', 'runtime/task/'] },
]
const TESTING = { page: 'testing', title: 'Testing (`millrace/testing`)', files: [] }

/** Every public export (`PublicExport`), sorted by page, source file and name. */
export function publicExports() {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const out = mkdtempSync(join(cache, 'api-docs-'))
  try {
    emitDeclarations(out)
    return readExports(out)
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

function emitDeclarations(out) {
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
  const sources = join(out, 'tsconfig.sources.json')
  const compilerOptions = { noEmit: false, declaration: true, emitDeclarationOnly: true, sourceMap: false, rootDir: root, outDir: out }
  const entries = ['index.ts', join('testing', 'index.ts')].map((entry) => join(root, 'runtime', entry))
  writeFileSync(sources, JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, files: entries, include: [] }))
  execFileSync(process.execPath, [tsc, '-p', sources], { stdio: ['ignore', 'inherit', 'inherit'], cwd: root })
}

function readExports(out) {
  const config = join(out, 'tsconfig.json')
  const compilerOptions = {
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    target: 'ES2023',
    lib: ['ES2023'],
    types: ['node'],
    skipLibCheck: true,
    noEmit: true,
  }
  const entries = { millrace: join(out, 'runtime', 'index.d.ts'), 'millrace/testing': join(out, 'runtime', 'testing', 'index.d.ts') }
  writeFileSync(config, JSON.stringify({ compilerOptions, files: Object.values(entries) }))
  const api = new API({ cwd: out })
  try {
    const project = api.updateSnapshot({ openProjects: [config] }).getProject(config)
    const found = Object.entries(entries).flatMap(([entry, file]) => {
      const module = project.checker.getSymbolAtLocation(project.program.getSourceFile(file))
      return project.checker.getExportsOfModule(module).map((symbol) => describe(project, out, entry, symbol))
    })
    const order = [...PAGES, TESTING].map((page) => page.page)
    const key = (e) => [String(order.indexOf(e.page)).padStart(2, '0'), e.source, e.name].join('\n')
    return found.sort((a, b) => (key(a) < key(b) ? -1 : 1))
  } finally {
    api.close()
  }
}

function describe(project, out, entry, exported) {
  const symbol = exported.flags & SymbolFlags.Alias ? project.checker.getAliasedSymbol(exported) : exported
  const nodes = symbol.declarations.map((handle) => statementOf(handle.resolve(project)))
  if (nodes.length === 0) throw new Error(`${entry}: ${exported.name} has no declaration`)
  const source = relative(out, nodes[0].getSourceFile().fileName)
    .split(sep)
    .join('/')
    .replace(/\.d\.ts$/, '.ts')
  const page = entry === 'millrace/testing' ? TESTING : PAGES.find(({ files }) => files.some((prefix) => source.startsWith(prefix)))
  if (page === undefined) throw new Error(`${exported.name} comes from ${source}, which has no page in scripts/api-docs.mjs`)
  const parts = nodes.map((node) => ({ comment: commentBefore(node), text: declarationText(node) }))
  return { entry, name: exported.name, page: page.page, source, parts }
}

/** `const x: T` is a declaration within a list within the statement that has the comment. */
function statementOf(node) {
  let statement = node
  while (statement.parent && statement.parent.kind !== SyntaxKind.SourceFile) statement = statement.parent
  return statement
}

/** The text of the last doc comment before a node, without its stars; '' without one. */
function commentBefore(node) {
  const before = node.getSourceFile().text.slice(node.pos, startOf(node))
  const comments = before.match(/\/\*\*[\s\S]*?\*\//g)
  if (comments === null) return ''
  const lines = comments[comments.length - 1].slice(3, -2).split('\n')
  return lines
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
    .join('\n')
    .trim()
}

/** Where a node begins behind its comments and blanks. */
function startOf(node) {
  const { text } = node.getSourceFile()
  const blank = /(?:\s|\/\*[\s\S]*?\*\/|\/\/[^\n]*)*/y
  blank.lastIndex = node.pos
  return node.pos + blank.exec(text)[0].length
}

/** The declaration without what is internal or private in it. */
function declarationText(node) {
  const { text } = node.getSourceFile()
  const hidden = (node.members ?? []).filter((member) => isHidden(member, text))
  let at = startOf(node)
  let kept = ''
  for (const member of hidden) {
    kept += text.slice(at, member.pos)
    at = member.end
  }
  kept += text.slice(at, node.end)
  return kept
    .replace(/^export (declare )?/, '')
    .replace(/^declare /, '')
    .replace(/^( {4})+/gm, (indent) => ' '.repeat(indent.length / 2))
}

function isHidden(member, text) {
  const full = text.slice(member.pos, member.end)
  return /@internal/.test(full.slice(0, startOf(member) - member.pos)) || /^(private |#private)/.test(text.slice(startOf(member), member.end))
}

/** The pages as `{ 'streams.md': text }`. */
export function renderPages(exports) {
  const pages = {}
  const index = [
    '# API',
    '',
    'Generated from the doc comments by `npm run docs`; do not edit. What Flink has and where it is here: [features](../features.md).',
    '',
  ]
  for (const { page, title } of [...PAGES, TESTING]) {
    const here = exports.filter((e) => e.page === page)
    if (here.length === 0) continue
    pages[`${page}.md`] = renderPage(title, here)
    index.push(`## [${title}](${page}.md)`, '', here.map((e) => `[\`${e.name}\`](${page}.md#${anchor(e.name)})`).join(' · '), '')
  }
  return { 'README.md': index.join('\n'), ...pages }
}

function renderPage(title, exports) {
  const lines = [`# ${title}`, '', 'Generated from the doc comments by `npm run docs`; do not edit. [All pages](README.md)', '']
  for (const { name, source, parts } of exports) {
    lines.push(`## ${name}`, '')
    for (const comment of new Set(parts.map((part) => part.comment))) if (comment !== '') lines.push(prose(comment), '')
    lines.push('```ts', parts.map((part) => part.text).join('\n'), '```', '', `<sub>[${source}](../../${source})</sub>`, '')
  }
  return lines.join('\n')
}

/** GitHub's anchor of a heading. */
function anchor(name) {
  return name.toLowerCase()
}

/** A doc comment as Markdown: links as code, an example as a fenced block. */
function prose(comment) {
  const [text, ...examples] = comment.replace(/\{@link(?:code)? ([^}|]+?)\}/g, '`$1`').split(/^@example[^\S\n]*\n?/m)
  return [text.trim(), ...examples.map((example) => (example.includes('```') ? example.trim() : `\`\`\`ts\n${example.trim()}\n\`\`\``))]
    .join('\n\n')
    .trim()
}

/** Names of pages that differ from what is in docs/api/. */
export function stalePages(pages) {
  const present = existsSync(folder) ? readdirSync(folder) : []
  const read = (name) => (present.includes(name) ? readFileSync(join(folder, name), 'utf8').replaceAll('\r\n', '\n') : undefined)
  return [...new Set([...present, ...Object.keys(pages)])].filter((name) => read(name) !== pages[name]).sort()
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const exports = publicExports()
  const pages = renderPages(exports)
  const stale = stalePages(pages)
  if (process.argv.includes('--check')) {
    for (const name of stale) console.error(`docs/api/${name} is not what the sources say: npm run docs`)
    process.exitCode = stale.length === 0 ? 0 : 1
  } else {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    for (const [name, text] of Object.entries(pages)) writeFileSync(join(folder, name), text)
    console.log(`docs/api: ${exports.length} exports on ${Object.keys(pages).length - 1} pages, ${stale.length} changed`)
  }
}
