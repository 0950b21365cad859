import { describe, expect, it } from 'vitest'
import type { SegmentRef } from '../../runtime/checkpoint/manifest.js'
import type { BaseState } from '../../runtime/task/base-state.js'
import { compacted } from '../../runtime/task/stage-compaction.js'

function segment(name: string): SegmentRef {
  return { name, bytes: 100, crc32: 1 }
}

const [A, B, C, AB] = ['a', 'b', 'c', 'ab'].map(segment)
const OTHER = segment('other')
const operatorStates = new Map([['uid', [1]]])

function base(uid: readonly SegmentRef[]): BaseState {
  return { keyed: new Map(Object.entries({ uid, other: [OTHER] })), operatorStates }
}

describe('compacted', () => {
  it('puts the merged segment in the place of those that it says', () => {
    const after = compacted(base([A, B, C]), { uid: 'uid', replaced: [A, B], by: [AB], atBottom: true })
    expect(after).toEqual(base([AB, C]))
  })

  it('leaves nothing of an operator whose segments say nothing when merged: it would be compacted again for ever', () => {
    const after = compacted(base([A, B, C]), { uid: 'uid', replaced: [A, B, C], by: [], atBottom: true })
    expect(after).toEqual({ keyed: new Map([['other', [OTHER]]]), operatorStates })
  })

  it('says nothing of a base in which they no longer stand', () => {
    expect(compacted(base([A, C]), { uid: 'uid', replaced: [A, B], by: [AB], atBottom: true })).toBeUndefined()
  })
})
