import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { examplesOfMarkdown, examplesOfSources, root } from '../docs/doc-examples.js'

/** Calls and `new` with explicit type arguments, such as `.flatMap<Word>(`; declarations and arrow functions are none. */
function typeArguments(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  const argument = '[^<>()=;]*(?:<[^<>()=;]*>[^<>()=;]*)*'
  return Array.from(code.matchAll(new RegExp(`(?<!function\\*? )\\b[A-Za-z_]\\w*<${argument}>\\(`, 'g')), ([call]) => call)
}

test('what counts as a type argument', () => {
  expect(typeArguments('lines.flatMap<Word>(wordsOf)')).toEqual(['flatMap<Word>('])
  expect(typeArguments('new OutputTag<Map<string, number>>("x")')).toEqual(['OutputTag<Map<string, number>>('])
  expect(typeArguments('WatermarkStrategy.forGenerator<{ t: number }>(make)')).toEqual(['forGenerator<{ t: number }>('])
  expect(typeArguments('export function add<W extends Word>(a: W): W { return a }')).toEqual([])
  expect(typeArguments('const LATE: OutputTag<Access> = new OutputTag("late")')).toEqual([])
  expect(typeArguments('if (a < b && c > (d)) f(x)')).toEqual([])
  expect(typeArguments('/** like map<T>(f) */\n  // flatMap<T>(f)')).toEqual([])
})

test('the examples are written without a type argument', () => {
  const files = readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  expect(files.length).toBeGreaterThan(10)
  expect(files.flatMap((file) => typeArguments(readFileSync(join(root, 'examples', file), 'utf8')).map((call) => `${file}: ${call}`))).toEqual([])
})

test('so are those of the documentation, but for what has nothing else to tell its type', () => {
  const named = /^(valueState|listState|mapState|reducingState|aggregatingState|OutputTag|testSource|\w+StateDescriptor)</
  const examples = [...examplesOfSources('runtime'), ...examplesOfMarkdown('README.md')]
  const found = examples.flatMap(({ where, code }) => typeArguments(code).map((call) => ({ where, call })))
  expect(found.filter(({ call }) => !named.test(call))).toEqual([])
})
