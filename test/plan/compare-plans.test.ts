import { describe, expect, it } from 'vitest'
import type { KeyType } from '../../runtime/core/index.js'
import { comparePlans, type DeclaredState } from '../../runtime/plan/index.js'
import { operatorOf, planOf } from './plans.js'

const CLICKS = operatorOf('clicks', { isSource: true, kind: 'kinesis-source' })
const COUNT = operatorOf('count', { keyed: true, kind: 'reduce' })
const OUT = operatorOf('out', { isSink: true, kind: 'print' })
const BEFORE = planOf([[CLICKS], [COUNT, OUT]])

function uidsOf(comparison: ReturnType<typeof comparePlans>): readonly string[] {
  return comparison.incompatibilities.map(({ uid }) => uid)
}

describe('comparing plans', () => {
  it('finds nothing where nothing has changed', () => {
    expect(comparePlans(BEFORE, planOf([[CLICKS], [COUNT, OUT]]))).toEqual({ incompatibilities: [], changes: [] })
  })

  it('lets parallelism, chaining and operators without state change', () => {
    const shown = operatorOf('shown')
    const after = planOf([[CLICKS], [COUNT], [shown], [OUT]], { stage: { parallelism: 4 } })
    const { incompatibilities, changes } = comparePlans(BEFORE, after)
    expect(incompatibilities).toEqual([])
    expect(changes).toContain('count: the parallelism was 1, it is 4')
    expect(changes).toContain('shown is new')
    expect(comparePlans(after, BEFORE).changes).toContain('shown is gone; it has no state')
  })

  it('says of a new operator with state that it begins without', () => {
    expect(comparePlans(planOf([[CLICKS], [OUT]]), BEFORE).changes).toContain('count is new; it begins without state')
  })

  it('finds state that would be lost, and how to keep it', () => {
    const [lost] = comparePlans(BEFORE, planOf([[CLICKS], [OUT]])).incompatibilities
    expect(lost).toMatchObject({ uid: 'count', reason: 'the operator is gone, and its state would be lost', droppable: true })
    expect(lost.remedy).toContain('Give the operator the uid "count" again')
    const [source] = comparePlans(BEFORE, planOf([[COUNT], [OUT]])).incompatibilities
    expect(source).toMatchObject({ uid: 'clicks', reason: 'the operator is gone, and its place in the stream would be lost' })
    const unnamed = operatorOf('reduce-3', { keyed: true, kind: 'reduce', uidGiven: false, name: 'Reduce' })
    const [moved] = comparePlans(planOf([[CLICKS], [unnamed]]), planOf([[CLICKS]])).incompatibilities
    expect(moved.reason).toContain('(Reduce)')
    expect(moved.remedy).toContain(".uid('reduce-3')")
  })

  it('takes state that is dropped on purpose for a change', () => {
    const { incompatibilities, changes } = comparePlans(BEFORE, planOf([[CLICKS], [OUT]]), { allowStateLoss: ['count'] })
    expect(incompatibilities).toEqual([])
    expect(changes).toContain('count: the operator is gone, and its state would be lost; its state is dropped on purpose')
  })

  it.each([
    ['another kind of operator', { ...COUNT, kind: 'window' }, 'the kind "window"'],
    ['keys no more', { ...COUNT, keyed: false }, 'was keyed and is not keyed'],
    ['a source', { ...COUNT, keyed: false, isSource: true }, 'was keyed and is a source'],
  ])('finds a uid that stands for %s', (_what, operator, reason) => {
    const { incompatibilities } = comparePlans(BEFORE, planOf([[CLICKS], [operator, OUT]]), { allowStateLoss: ['count'] })
    // Under the same uid the new operator would be given the old one's state.
    expect(incompatibilities).toMatchObject([{ uid: 'count', reason: expect.stringContaining(reason), droppable: false }])
  })

  it('lets a source be read through another connector', () => {
    expect(uidsOf(comparePlans(BEFORE, planOf([[{ ...CLICKS, kind: 'other-source' }], [COUNT, OUT]])))).toEqual([])
  })

  it('finds other key groups, where there are keys', () => {
    const after = planOf([[CLICKS], [COUNT, OUT]], { stage: { maxParallelism: 64 } })
    expect(comparePlans(BEFORE, after).incompatibilities).toMatchObject([{ uid: 'count', reason: expect.stringContaining('was 128 and is 64') }])
  })

  it('finds another stream and another job', () => {
    expect(comparePlans(BEFORE, planOf([[CLICKS], [COUNT, OUT]], { streams: { clicks: 'taps' } })).incompatibilities).toMatchObject([
      { uid: 'clicks', reason: expect.stringContaining('read the stream "clicks" and reads "taps"') },
    ])
    expect(comparePlans(BEFORE, planOf([[CLICKS], [COUNT, OUT]], { job: 'taps' })).incompatibilities).toMatchObject([{ uid: 'taps' }])
  })

  describe('states that operators declare', () => {
    const state = (name: string, change: Partial<DeclaredState> = {}): DeclaredState => ({
      name,
      kind: 'value',
      serde: 'structural',
      ttl: false,
      ...change,
    })
    const declaring = (...states: readonly DeclaredState[]) => ({ ...BEFORE, states: { count: states } })
    const before = declaring(state('n'), state('words', { kind: 'map', serde: 'text/1,a/b/2' }))

    it('may be added, get a time to live and newer versions of their serdes', () => {
      const after = declaring(state('n', { ttl: true }), state('words', { kind: 'map', serde: 'text/2,a/b/3' }), state('more'))
      expect(comparePlans(before, after).incompatibilities).toEqual([])
    })

    it('may not go, unless on purpose', () => {
      const after = declaring(state('n'))
      expect(comparePlans(before, after).incompatibilities).toEqual([
        {
          uid: 'count',
          reason: 'the map state "words" is gone, and what it holds would be lost',
          remedy: "Declare it again, or leave it behind on purpose with allowStateLoss: ['count']",
          droppable: true,
        },
      ])
      expect(comparePlans(before, after, { allowStateLoss: ['count'] }).incompatibilities).toEqual([])
    })

    it.each([
      ['kind', { kind: 'list' }, 'was value state and is list state'],
      ['serde', { serde: 'text/1' }, 'was written with the serde structural and has text/1'],
    ])('may not have another %s, whatever is allowed to go', (_what, change, reason) => {
      const after = declaring(state('n', change), before.states.count[1])
      const { incompatibilities } = comparePlans(before, after, { allowStateLoss: ['count'] })
      expect(incompatibilities).toMatchObject([{ uid: 'count', reason: expect.stringContaining(reason), droppable: false }])
    })

    it('are compared only where both are known', () => {
      expect(comparePlans(before, BEFORE).incompatibilities).toEqual([])
      expect(comparePlans(BEFORE, before).incompatibilities).toEqual([])
    })
  })

  describe('types of keys', () => {
    const keys = (...keyTypes: readonly KeyType[]) => planOf([[CLICKS], [{ ...COUNT, keyTypes }, OUT]])

    it('may become more, and be left undeclared', () => {
      expect(comparePlans(keys('string'), keys('number', 'string')).incompatibilities).toEqual([])
      expect(comparePlans(keys('string'), BEFORE).incompatibilities).toEqual([])
      expect(comparePlans(BEFORE, keys('string')).incompatibilities).toEqual([])
    })

    it('may not be others', () => {
      expect(comparePlans(keys('string'), keys('number'), { allowStateLoss: ['count'] }).incompatibilities).toEqual([
        {
          uid: 'count',
          reason: 'there is state under keys of type string, and its keys are of type number now, so that state would never be found again',
          remedy:
            "Declare the keys as they were, or as ['string', 'number'] if they are of all these types, or begin without this state under another uid",
          droppable: false,
        },
      ])
    })
  })
})
