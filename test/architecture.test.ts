import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { glob } from 'tinyglobby'
import { describe, expect, it } from 'vitest'
import { readImportGraph } from './import-graph.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** A simulation drives these with its own time, chance and scheduling; they reach the world through ports only. */
const PURE_ROOMS = ['core', 'ports', 'state', 'operators', 'plan', 'api', 'exchange', 'checkpoint', 'task']

const NONDETERMINISM =
  /\b(?:Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|setImmediate|performance\.now|process\.hrtime|crypto\.random\w*)\b/

describe('architecture', () => {
  it('keeps the import graph of the rooms', { timeout: 120_000 }, async () => {
    const graph = await readImportGraph(ROOT)
    expect(graph.files.length).toBeGreaterThan(30)
    expect(graph.violations.map(({ rule, from, to }) => `${rule}: ${from} -> ${to}`)).toEqual([])
  })

  it('finds what the rules forbid, in type imports too', { timeout: 120_000 }, async () => {
    const found = await violationsOf({
      'runtime/index.ts': "export * from './api/env.js'\nexport * from './core/a.js'\nexport * from './state/table.js'\nexport * from './task/x.js'",
      'runtime/api/env.ts': "export interface Env { x: 1 }\nexport { run } from '../local/run.js'",
      'runtime/local/run.ts': "import type { Env } from '../api/env.js'\nexport const run = (env: Env) => env",
      'runtime/core/a.ts':
        "import type { Env } from '../api/env.js'\nimport { type B, b } from './b.js'\nexport const a = (env: Env, other: B) => [env, other, b]",
      'runtime/core/b.ts': "import type { a } from './a.js'\nexport type B = typeof a\nexport const b = 1",
      'runtime/state/table.ts': "import { readFileSync } from 'node:fs'\nexport const read = readFileSync",
      'runtime/state/alone.ts': 'export const alone = 1',
      'runtime/task/x.ts': "import { y } from './y.js'\nexport const x = () => y",
      'runtime/task/y.ts': "import { x } from './x.js'\nimport { main } from '../../cli/main.js'\nexport const y = () => [x, main]",
      'cli/main.ts': "import { absent } from './absent.js'\nexport const main = absent",
    })
    expect(found).toEqual([
      'no-circular: runtime/task/x.js -> runtime/task/y.js',
      'no-orphan: runtime/state/alone.js -> runtime/state/alone.js',
      'no-unresolvable: cli/main.js -> ./absent.js',
      'pure-rooms-have-no-node: runtime/state/table.js -> fs',
      'room-api: runtime/api/env.js -> runtime/local/run.js',
      'room-core: runtime/core/a.js -> runtime/api/env.js',
      'runtime-below-skin: runtime/task/y.js -> cli/main.js',
    ])
  })

  it('keeps time, chance and timers out of the pure rooms', async () => {
    const files = await glob(
      PURE_ROOMS.map((room) => `runtime/${room}/**/*.ts`),
      { cwd: ROOT },
    )
    expect(files.length).toBeGreaterThan(10)
    const found: string[] = []
    for (const file of files.sort()) {
      const lines = withoutComments(await readFile(`${ROOT}${file}`, 'utf8')).split('\n')
      lines.forEach((line, index) => {
        const match = NONDETERMINISM.exec(line)
        if (match !== null) found.push(`${file}:${index + 1} ${match[0]}`)
      })
    }
    expect(found).toEqual([])
  })

  it('would find each of them', () => {
    for (const call of ['Date.now()', 'Math.random()', 'setTimeout(f, 1)', 'setInterval(f, 1)', 'setImmediate(f)', 'performance.now()']) {
      expect(withoutComments(`const x = ${call} // why`)).toMatch(NONDETERMINISM)
    }
    expect(withoutComments('/** not Date.now() */\nconst y = clock.now() // no setTimeout')).not.toMatch(NONDETERMINISM)
  })
})

async function violationsOf(files: Readonly<Record<string, string>>): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-graph-'))
  try {
    await copyFile(join(ROOT, '.dependency-cruiser.cjs'), join(root, '.dependency-cruiser.cjs'))
    await writeFile(join(root, 'package.json'), '{ "name": "graph", "type": "module" }')
    for (const [name, source] of Object.entries(files)) {
      await mkdir(dirname(join(root, name)), { recursive: true })
      await writeFile(join(root, name), source)
    }
    const { violations } = await readImportGraph(root)
    return violations.map(({ rule, from, to }) => `${rule}: ${from} -> ${to}`).sort()
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** Blanks comments but keeps line numbers. Strings stay: a call inside one is no reason to look closer at lexing. */
function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')).replace(/(^|\s)\/\/.*$/gm, '$1')
}
