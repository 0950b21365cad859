import { describe, expect, it } from 'vitest'
import { comparePlans } from '../../runtime/plan/index.js'
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
})
