import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { commitOf, seedsOf } from '../../scripts/commit-seeds.mjs'

const HASH = '71c4f6d0'.repeat(5)

it('gives a commit the same seeds again, and another commit others', () => {
  expect(seedsOf(HASH, 10_000)).toEqual([0x71c4f6d + 1, 0x71c4f6d + 10_000])
  expect(seedsOf(`0000000${HASH.slice(7)}`, 10)).toEqual([1, 10])
})

it('refuses what is no hash', () => {
  expect(() => seedsOf('HEAD', 10)).toThrow('"HEAD" is no hash of a commit')
})

it('says what to do where git does not know the commit', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-no-clone-'))
  try {
    expect(() => commitOf(folder)).toThrow(/Run this in a clone of the repository/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
