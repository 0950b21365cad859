import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { codeHash, seedsOf } from '../../scripts/code-seeds.mjs'

const HASH = '71c4f6d0'.repeat(8)
let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-code-'))
  for (const folder of ['runtime/state', 'simulation']) mkdirSync(join(root, folder), { recursive: true })
  writeFileSync(join(root, 'runtime/state/a.ts'), 'a')
  writeFileSync(join(root, 'simulation/b.ts'), 'b')
})
afterEach(() => rmSync(root, { recursive: true }))

it('gives the same code the same seeds again, and other code others', () => {
  expect(seedsOf(HASH, 10_000)).toEqual([0x71c4f6d + 1, 0x71c4f6d + 10_000])
  const before = codeHash(root)
  writeFileSync(join(root, 'README.md'), 'more is said of it')
  expect(codeHash(root)).toBe(before)
  writeFileSync(join(root, 'runtime/state/a.ts'), 'another')
  expect(codeHash(root)).not.toBe(before)
  writeFileSync(join(root, 'runtime/state/a.ts'), 'a')
  expect(codeHash(root)).toBe(before)
})

it('says what is missing where there is no code', () => {
  rmSync(join(root, 'simulation/b.ts'))
  expect(() => codeHash(root)).toThrow(/no sources in .*simulation/)
})
