import { expect, test } from 'vitest'
import * as millrace from '../../runtime/index.js'
import * as testing from '../../runtime/testing/index.js'
import { publicExports, renderPages, stalePages } from '../../scripts/api-docs.mjs'

const exports = publicExports()

test('all that can be imported at run time is among the public exports', () => {
  const named = (entry: string) => exports.filter((e) => e.entry === entry).map((e) => e.name)
  expect(named('millrace')).toEqual(expect.arrayContaining(Object.keys(millrace)))
  expect(named('millrace/testing')).toEqual(expect.arrayContaining(Object.keys(testing)))
})

test('every public export has a doc comment', () => {
  const bare = exports.filter((e) => e.parts.every((part) => part.comment === ''))
  expect(bare.map((e) => `${e.source}: ${e.name}`)).toEqual([])
})

test('declarations show nothing internal', () => {
  const shown = exports.flatMap((e) => e.parts.map((part) => part.text)).join('\n')
  expect(shown).not.toMatch(/@internal|#private/)
})

test('docs/api is what the sources say (else: npm run docs)', () => {
  expect(stalePages(renderPages(exports))).toEqual([])
})
