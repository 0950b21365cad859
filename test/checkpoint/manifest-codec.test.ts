import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeManifest, encodeManifest, type Manifest } from '../../runtime/checkpoint/index.js'
import { crc32 } from '../../runtime/core/index.js'
import { aManifest, anOperator } from './manifests.js'

const ref = fc.record({ name: fc.string({ minLength: 1 }), bytes: fc.nat(), crc32: fc.integer({ min: 0, max: 2 ** 32 - 1 }) })
const leaf = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.bigInt(), fc.boolean(), fc.constantFrom(null, undefined), fc.date())
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((k) => k !== '__proto__'),
      tie('value'),
      { maxKeys: 4, noNullPrototype: true },
    ),
    fc.array(fc.tuple(leaf, tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(leaf, { maxLength: 3 }).map((items) => new Set(items)),
    fc.float64Array({ maxLength: 3 }),
  ),
}))
const operator = fc.record({
  uid: fc.string(),
  name: fc.string({ unit: 'grapheme' }),
  parallelism: fc.integer({ min: 1, max: 8 }),
  maxParallelism: fc.constant(128),
  subtasks: fc.array(fc.record({ subtask: fc.nat(7), keyed: fc.array(ref, { maxLength: 3 }), operatorState: fc.array(value, { maxLength: 3 }) }), {
    maxLength: 3,
  }),
})
const manifest: fc.Arbitrary<Manifest> = fc.record({
  format: fc.constant(1 as const),
  job: fc.string({ unit: 'grapheme' }),
  checkpointId: fc.nat(),
  kind: fc.constantFrom('checkpoint', 'savepoint'),
  createdAtMs: fc.nat(),
  attempt: fc.nat(),
  operators: fc.array(
    fc.oneof(
      operator,
      fc.tuple(operator, value).map(([o, v]) => (v === undefined ? o : { ...o, coordinatorState: v })),
    ),
    { maxLength: 3 },
  ),
})

/** -0 becomes 0 in the structural serialisation, which toEqual would notice. */
function withoutMinusZero(x: unknown): unknown {
  if (typeof x === 'number') return x === 0 ? 0 : x
  if (Array.isArray(x)) return x.map(withoutMinusZero)
  if (x instanceof Map) return new Map([...x].map(([k, v]) => [withoutMinusZero(k), withoutMinusZero(v)]))
  if (x instanceof Set) return new Set([...x].map(withoutMinusZero))
  if (typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype) {
    return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, withoutMinusZero(v)]))
  }
  return x
}

describe('manifest codec', () => {
  it('gives back what was encoded, with states of any plain data', () => {
    fc.assert(
      fc.property(manifest, (m) => {
        expect(withoutMinusZero(decodeManifest(encodeManifest(m), 'm'))).toEqual(withoutMinusZero(m))
      }),
      { numRuns: 150 },
    )
  })

  const full = aManifest({
    operators: [
      anOperator('sum', [[{ name: 'shared/sum-0-1-a.seg', bytes: 10, crc32: 5 }]], { coordinatorState: new Map([['x', 2n ** 70n]]) }),
      { ...anOperator('src', []), subtasks: [{ subtask: 0, keyed: [], operatorState: [new Date(5), { a: [1n] }] }] },
    ],
  })
  const bytes = encodeManifest(full)

  it('is JSON, as the format says', () => {
    const { crc32: checksum, manifest: inner } = JSON.parse(new TextDecoder().decode(bytes))
    expect(Number.parseInt(checksum, 16)).toBe(crc32(new TextEncoder().encode(JSON.stringify(inner))))
    expect(inner).toMatchObject({ format: 1, job: 'clicks', checkpointId: 1 })
  })

  it('is frozen once decoded', () => {
    const decoded = decodeManifest(bytes, 'm')
    expect(Object.isFrozen(decoded) && Object.isFrozen(decoded.operators) && Object.isFrozen(decoded.operators[0].subtasks[0].keyed[0])).toBe(true)
  })

  it('notices each flipped bit', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = bytes.slice()
        damaged[at] ^= 1 << bit
        expect(() => decodeManifest(damaged, 'm')).toThrow(expect.objectContaining({ code: 'CHECKPOINT_CORRUPT' }))
      }
    }
  })

  it('notices each truncation and what was appended, and says where and what to do', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeManifest(bytes.slice(0, length), 'chk-1/manifest.json')).toThrow(
        /^CHECKPOINT_CORRUPT: (.|\n)*where: chk-1\/manifest\.json(.|\n)*what to do: /,
      )
    }
    expect(() => decodeManifest(new Uint8Array([...bytes, 10]), 'm')).toThrow(expect.objectContaining({ code: 'CHECKPOINT_CORRUPT' }))
  })

  it('refuses another format, with a right checksum', () => {
    const newer = encodeManifest({ ...full, format: 3 as unknown as 1 })
    expect(() => decodeManifest(newer, 'm')).toThrow(/CHECKPOINT_VERSION: manifest format 3 (.|\n)*where: m(.|\n)*what to do/)
  })

  it.each<[string, Record<string, unknown>]>([
    ['job', { job: 5 }],
    ['checkpointId', { checkpointId: -1 }],
    ['kind', { kind: 'x' }],
    ['createdAtMs', { createdAtMs: null }],
    ['attempt', { attempt: 0.5 }],
    ['parallelism', { operators: [{ ...full.operators[0], parallelism: 'x' }] }],
    ['subtasks[0].keyed[0]', { operators: [anOperator('a', [[{ name: 'x', bytes: 1 } as never]])] }],
    ['format', { format: 'one' }],
  ])('refuses a manifest whose %s is wrong, though its checksum is right', (field, wrong) => {
    const odd = encodeManifest({ ...full, ...wrong } as Manifest)
    expect(() => decodeManifest(odd, 'm')).toThrow(expect.objectContaining({ code: 'CHECKPOINT_CORRUPT', message: expect.stringContaining(field) }))
  })

  it('names the operator whose state cannot be written', () => {
    class Mine {}
    for (const bad of [() => 1, new Mine(), { deep: [Symbol('s')] }]) {
      const m = aManifest({ operators: [{ ...anOperator('enrich', []), subtasks: [{ subtask: 2, keyed: [], operatorState: [1, bad] }] }] })
      expect(() => encodeManifest(m)).toThrow(/STATE_UNSERIALISABLE.*operatorState\[1\] of subtask 2(.|\n)*enrich operator/)
    }
    expect(() => encodeManifest(aManifest({ operators: [anOperator('src', [], { coordinatorState: () => 1 })] }))).toThrow(
      expect.objectContaining({ code: 'STATE_UNSERIALISABLE', uid: 'src' }),
    )
  })

  it('takes a large state', () => {
    const big = new Uint8Array(300_001).map((_, i) => i)
    const m = aManifest({ operators: [anOperator('src', [], { coordinatorState: big })] })
    const back = decodeManifest(encodeManifest(m), 'm').operators[0].coordinatorState as Uint8Array
    expect([back.length, crc32(back)]).toEqual([big.length, crc32(big)])
  })
})
