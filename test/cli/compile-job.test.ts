import { mkdir, readFile, realpath, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeEach, describe, expect, it } from 'vitest'
import { compileJob } from '../../cli/compile-job.js'
import { tempFolder } from '../backends/temp-folder.js'

let root: string

beforeEach(async () => {
  root = await realpath(await tempFolder())
})

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), text)
  }
}

async function load(file: string): Promise<unknown> {
  return ((await import(/* @vite-ignore */ pathToFileURL(await compileJob(join(root, file))).href)) as { default: unknown }).default
}

const bundleOf = (entry: string): Promise<string> => readFile(join(dirname(entry), 'bundle.mjs'), 'utf8')

describe('compileJob', () => {
  it('bundles local files, JSON and tsconfig paths, and leaves packages as imports', async () => {
    await write({
      'package.json': '{ "name": "app", "type": "module" }',
      'tsconfig.json': '{ "compilerOptions": { "baseUrl": ".", "paths": { "@app/*": ["./src/*"] } } }',
      'src/limits.ts': 'export const limit: number = 7',
      'src/names.json': '["a", "b"]',
      'src/jobs/job.ts': `import { limit } from '@app/limits.js'
import names from '../names.json' with { type: 'json' }
import { sep } from 'node:path'
import shared from 'shared'
export default { limit, names, sep: sep.length, shared }`,
      'node_modules/shared/package.json': '{ "name": "shared", "type": "module", "exports": "./index.js" }',
      'node_modules/shared/index.js': 'export default import.meta.url',
    })
    const file = await compileJob(join(root, 'src/jobs/job.ts'))
    expect(file.startsWith(join(root, 'node_modules', '.cache', 'millrace'))).toBe(true)
    const text = await bundleOf(file)
    expect(text).toMatch(/import shared from "shared"/)
    expect(text).toMatch(/sourceMappingURL=data:application\/json;base64/)
    const all = await load('src/jobs/job.ts')
    const shared = pathToFileURL(join(root, 'node_modules/shared/index.js')).href
    expect(all).toEqual({ limit: 7, names: ['a', 'b'], sep: 1, shared })
  })

  it('prefers tsconfig paths to a package of the same name', async () => {
    await write({
      'package.json': '{}',
      'tsconfig.json': '{ "compilerOptions": { "paths": { "shared": ["./mine.ts"] } } }',
      'mine.ts': "export const who = 'mine'",
      'job.ts': "export { who as default } from 'shared'",
      'node_modules/shared/package.json': '{ "main": "index.js" }',
      'node_modules/shared/index.js': "exports.who = 'package'",
    })
    expect(await load('job.ts')).toBe('mine')
  })

  it('gives each file its own import.meta.url, filename and dirname', async () => {
    await write({
      'package.json': '{}',
      'job.ts': `#!/usr/bin/env node
import { data } from './lib/data.js'
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
// import.meta.url
export default [import.meta.url, import.meta.filename, data, 'import.meta.url', typeof require.resolve]`,
      'lib/data.ts': "export const data = [new URL('./x.csv', import.meta.url).href, import.meta.dirname]",
    })
    const all = await load('job.ts')
    expect(all).toEqual([
      pathToFileURL(join(root, 'job.ts')).href,
      join(root, 'job.ts'),
      [pathToFileURL(join(root, 'lib/x.csv')).href, join(root, 'lib')],
      'import.meta.url',
      'function',
    ])
  })

  it('bundles CommonJS files that require packages', async () => {
    await write({
      'package.json': '{}',
      'old.cjs': "const shared = require('shared'); const { sep } = require('path'); module.exports = { shared, sep }",
      'job.ts': "import old from './old.cjs'\nexport default old.shared.who",
      'node_modules/shared/package.json': '{ "main": "index.js" }',
      'node_modules/shared/index.js': "exports.who = 'package'",
    })
    expect(await load('job.ts')).toBe('package')
  })

  it('bundles a linked workspace package in TypeScript and finds what that one imports', async () => {
    await write({
      'app/package.json': '{}',
      'app/job.ts': "export { who as default } from 'lib'",
      'lib/package.json': '{ "name": "lib", "exports": "./index.ts" }',
      'lib/index.ts': "import inner from 'inner'\nexport const who: string = inner.who",
      'lib/node_modules/inner/package.json': '{ "main": "index.js" }',
      'lib/node_modules/inner/index.js': "exports.who = 'inner'",
    })
    await mkdir(join(root, 'app/node_modules'))
    await symlink(join(root, 'lib'), join(root, 'app/node_modules/lib'), 'junction')
    expect(await load('app/job.ts')).toBe('inner')
  })

  it('compiles the same job to the same file, once, and a changed job to another', async () => {
    await write({ 'package.json': '{}', 'job.ts': 'export default 1' })
    const first = await compileJob(join(root, 'job.ts'))
    const { mtimeMs } = await stat(first)
    expect(await compileJob(join(root, 'job.ts'))).toBe(first)
    expect((await stat(first)).mtimeMs).toBe(mtimeMs)
    await write({ 'job.ts': 'export default 2' })
    const second = await compileJob(join(root, 'job.ts'))
    expect(second).not.toBe(first)
    await expect(stat(first)).resolves.toBeDefined()
  })

  it('uses .millrace beside a job that has no package.json', async () => {
    await write({ 'job.ts': 'export default 1' })
    expect(await compileJob(join(root, 'job.ts'))).toMatch(/[\\/]\.millrace[\\/][0-9a-f]{16}[\\/]job\.mjs$/)
    expect(await load('job.ts')).toBe(1)
  })

  it('maps back to the source file', async () => {
    await write({
      'package.json': '{}',
      'job.ts': 'interface A { a: 1 }\n\nexport const fail = (): never => {\n  throw new Error(String({} as A))\n}',
    })
    const text = await bundleOf(await compileJob(join(root, 'job.ts')))
    const map = JSON.parse(Buffer.from(text.split('base64,')[1] as string, 'base64').toString()) as { sources: string[] }
    expect(map.sources.map((source) => join(root, 'node_modules/.cache/millrace/x', source))).toEqual([join(root, 'job.ts')])
  })

  it('says where a syntax error is', async () => {
    await write({ 'package.json': '{}', 'job.ts': 'const a = 1\nconst b = = 2\n' })
    const error = await compileJob(join(root, 'job.ts')).catch((thrown: unknown) => thrown as Error)
    expect(error).toMatchObject({ code: 'JOB_COMPILE' })
    expect((error as Error).message).toMatch(/Unexpected "="[\s\S]*where: .*job\.ts:2:11\n\s+const b = = 2/)
  })

  it('says which import leads nowhere, and from where', async () => {
    await write({ 'package.json': '{}', 'job.ts': "import a from 'absent-package'\nimport b from './absent.js'\nexport default [a, b]" })
    const error = await compileJob(join(root, 'job.ts')).catch((thrown: unknown) => thrown as Error)
    expect(error).toMatchObject({ code: 'JOB_COMPILE' })
    expect((error as Error).message).toMatch(/"absent-package" \(and 1 more\)|\(and 1 more\)/)
    expect((error as Error).message).toMatch(/job\.ts:1:15/)
    expect((error as Error).message).toMatch(/job\.ts:2:15/)
    expect((error as Error).message).toMatch(/npm install absent-package/)
  })
})
