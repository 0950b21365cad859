import { describe, expect, it } from 'vitest'
import { compileJob, type DataStream, defineJob } from '../../runtime/api/index.js'
import type { KeyType } from '../../runtime/core/index.js'
import { guardKeys, type StreamNode } from '../../runtime/plan/index.js'

const compiled = (define: (elements: DataStream<unknown>) => DataStream<unknown>) =>
  compileJob(
    defineJob('keys', (env) => void define(env.fromElements<unknown>(1)).uid('keyed').print()),
    {},
  )
const keyedBy = (types?: KeyType | readonly KeyType[]) => compiled((elements) => elements.keyBy((key) => key, types).reduce((a) => a))
const selectorOf = (job: ReturnType<typeof compileJob>) => (job.nodes.get('keyed') as StreamNode).keySelector as (value: unknown) => unknown

describe('declared types of keys', () => {
  it('stand in the plan, and only where they are declared', () => {
    const keyTypes = (types?: KeyType | readonly KeyType[]) => keyedBy(types).graph.vertices.at(-1)?.operators[0].keyTypes
    expect(keyTypes('string')).toEqual(['string'])
    expect(keyTypes(['string', 'number', 'string'])).toEqual(['number', 'string'])
    expect(keyTypes()).toBeUndefined()
    const connected = (first?: KeyType) =>
      compiled((elements) =>
        elements
          .connect(elements)
          .keyBy(
            (key) => key,
            (key) => key,
            first,
          )
          .map({ map1: (a) => a, map2: (a) => a }),
      ).graph.vertices.at(-1)?.operators[0].keyTypes
    expect(connected('number')).toEqual(['number'])
    expect(connected()).toBeUndefined()
  })

  it('refuse a key of another type', () => {
    const selector = selectorOf(keyedBy(['string', 'array']))
    expect(selector('a')).toBe('a')
    expect(selector(['a'])).toEqual(['a'])
    expect(() => selector({ a: 1 })).toThrow(/KEY_TYPE: the key {"a":1} is of type object, and keyBy was declared with string, array/)
    expect(() => selector(1n)).toThrow('the key 1 is of type bigint')
    // Refused for what it is where keys are taken.
    expect(selector(null)).toBe(null)
  })
})

describe('keys beside state that was restored', () => {
  it('are refused when they are of a type that there is no state of', () => {
    const selector = selectorOf(guardKeys(keyedBy(), { keyed: ['string'], other: ['number'] }))
    expect(selector('a')).toBe('a')
    expect(() => selector(1)).toThrow(/KEY_TYPE: a key is of type number, and the state that was restored has keys of type string/)
    expect(() => selector(1)).toThrow("keyBy(selector, ['string', 'number'])")
    expect(() => selector(['a'])).toThrow('a key is of type array')
    expect(selector(undefined)).toBe(undefined)
    const tuples = selectorOf(guardKeys(keyedBy(), { keyed: ['array'] }))
    expect(tuples(['a', 1])).toEqual(['a', 1])
    expect(() => tuples({ a: 1 })).toThrow('a key is of type object')
  })

  it('are what the job has declared, where it has', () => {
    const selector = selectorOf(guardKeys(keyedBy(['string', 'number']), { keyed: ['string'] }))
    expect(selector(1)).toBe(1)
  })
})
