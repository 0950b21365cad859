import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { publicExports } from '../../scripts/api-docs.mjs'
import { root } from './doc-examples.js'

const rows = readFileSync(join(root, 'docs', 'features.md'), 'utf8')
  .split(/\r?\n/)
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split('|').map((cell) => cell.trim()))

test('every name that docs/features.md says is here is in the public declarations', () => {
  const declared = publicExports()
    .flatMap((e) => e.parts.map((part) => part.text))
    .join('\n')
  const names = rows.flatMap(([, , here]) => [...here.matchAll(/`(?:\w+\.)?(\w+)`/g)].map((match) => match[1]))
  expect(names.length).toBeGreaterThan(100)
  expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(declared))).toEqual([])
})

test('what is absent has a reason', () => {
  expect(rows.filter(([, , here, notes]) => here === '—' && notes === '')).toEqual([])
})
