import { describe, expect, test } from 'vitest'
import { fnv1a } from '../../bench/fnv1a.js'
import { accessLine, canonicalEvent, nexmark, wordLine } from '../../bench/generator/index.js'

const EVENTS = 100_000

function hashOf(generate: (i: number) => string): number {
  let hash = 0
  for (let i = 0; i < EVENTS; i++) hash = (hash + fnv1a(generate(i))) % 2 ** 53
  return hash
}

/** What bench/flink/gen.mjs and Flink's gen-lines, gen-words and gen-nexmark print for 100,000 events. */
describe('generators make the data of GENERATOR.md', () => {
  test.each([
    ['access lines', 10_000, (i: number) => accessLine(i, 10_000), 214_366_797_474_719],
    ['access lines', 777, (i: number) => accessLine(i, 777), 214_455_283_581_615],
    ['word lines', 10_000, wordLine, 214_294_305_818_089],
    ['Nexmark events', 10_000, (i: number) => canonicalEvent(nexmark(i, 10_000)), 215_043_212_376_371],
    ['Nexmark events', 777, (i: number) => canonicalEvent(nexmark(i, 777)), 215_240_194_417_586],
  ])('%s at %i events a second', (_, __, generate, hash) => {
    expect(hashOf(generate)).toBe(hash)
  })

  test('an event depends on its number only, in whatever order it is asked for', () => {
    const forward = [5, 6, 70_000, 7].map((i) => accessLine(i, 10_000))
    const backward = [7, 70_000, 6, 5].map((i) => accessLine(i, 10_000)).reverse()
    expect(forward).toEqual(backward)
    expect(forward[0]).toMatch(/^10\.\d+\.\d+\.\d+ \d{13} (GET|POST|PUT|HEAD) \/p\/\d+\/index\.html \d{3} \d+$/)
  })
})
