import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeSegment, encodeSegment, type RowBlock } from '../../runtime/state/index.js'

function block(state: number, rows: readonly (readonly [string, unknown])[]): RowBlock {
  return {
    state,
    removedKeys: ['gone'],
    removedNamespaces: [null],
    keys: rows.map(([key]) => key),
    namespaces: rows.map(() => [0, 10]),
    values: rows.map(([, value]) => value),
  }
}

const HEADER = { kind: 'base', maxParallelism: 128, states: [{ name: 's', kind: 'value', serde: 'structural' }], rows: 3 } as const

describe('segment', () => {
  const groups = new Map([
    [7, [block(0, [['k', { n: 1 }]])]],
    [2, [block(0, [['a', { text: 'é' }]]), block(0, [['b', [1n, new Date(5), new Map([[1, 2]])]]])]],
    [100, [block(0, [])]],
  ])
  const bytes = encodeSegment(HEADER, groups)

  it('gives back the blocks of a range of key groups, in order', () => {
    const segment = decodeSegment(bytes, 'x.seg')
    expect(segment.header).toMatchObject(HEADER)
    expect([...segment.blocks(0, 127)].map((b) => b.keyGroup)).toEqual([2, 2, 7, 100])
    expect([...segment.blocks(3, 99)].map((b) => b.block)).toEqual(groups.get(7))
    expect([...segment.blocks(2, 2)].map((b) => b.block)).toEqual(groups.get(2))
    expect([...segment.blocks(8, 99)]).toEqual([])
  })

  it('notices each flipped bit', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = bytes.slice()
        damaged[at] ^= 1 << bit
        expect(() => decodeSegment(damaged, 'x.seg')).toThrow(
          // The format's number may become that of another, whose checksum the bytes do not have.
          expect.objectContaining({ code: at === 3 && bit !== 1 ? 'CHECKPOINT_VERSION' : 'CHECKPOINT_CORRUPT' }),
        )
      }
    }
  })

  it('notices each truncation and what was appended, and names the file', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeSegment(bytes.slice(0, length), 'x.seg')).toThrow(/CHECKPOINT_CORRUPT(.|\n)*x\.seg(.|\n)*what to do/)
    }
    expect(() => decodeSegment(new Uint8Array([...bytes, 0]), 'x.seg')).toThrow(expect.objectContaining({ code: 'CHECKPOINT_CORRUPT' }))
  })

  it('does not depend on where in a buffer the bytes lie', () => {
    const padded = new Uint8Array(bytes.length + 5)
    padded.set(bytes, 5)
    expect([...decodeSegment(padded.subarray(5), 'x').blocks(7, 7)].map((b) => b.block)).toEqual(groups.get(7))
  })

  it('each group is read on its own, whatever shapes the objects of the others have', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.array(
            fc.string({ minLength: 1, maxLength: 3 }).filter((f) => f !== '__proto__'),
            { maxLength: 3 },
          ),
          { maxLength: 120, size: 'max' },
        ),
        (shapes) => {
          const many = new Map(shapes.map((fields, i) => [i, [block(0, [['k', Object.fromEntries(fields.map((f) => [`_${f}`, i]))]])]]))
          const segment = decodeSegment(encodeSegment(HEADER, many), 'x')
          for (let group = shapes.length - 1; group >= 0; group--)
            expect([...segment.blocks(group, group)].map((b) => b.block)).toEqual(many.get(group))
        },
      ),
      { numRuns: 40 },
    )
  })
})
