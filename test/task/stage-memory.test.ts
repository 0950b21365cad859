import { expect, it } from 'vitest'
import { EMPTY_BASE } from '../../runtime/task/base-state.js'
import { LoggedState } from '../../runtime/task/logged-state.js'
import type { PreparedCommit } from '../../runtime/task/stage-commit.js'
import { type Memory, noteCommit } from '../../runtime/task/stage-memory.js'

it('what a memory knows of operator state begins anew with each base, which its functions do not change', () => {
  const memory = { operatorStates: new Map([['sink', ['old']]]), operatorChanges: [], logged: new LoggedState(EMPTY_BASE) } as unknown as Memory
  const commit = (prepared: Partial<PreparedCommit>) => prepared as PreparedCommit
  for (const version of [1, 2, 3])
    noteCommit(memory, version, commit({ operatorChanges: Uint8Array.of(version), deltas: [['sum', new Uint8Array(5)]] }))
  expect(memory.operatorChanges).toHaveLength(3)
  expect(memory.logged.tailBytes).toBe(15)
  const held = { n: 1 }
  const base = { keyed: new Map(), operatorStates: new Map([['sink', [held]]]) }
  noteCommit(memory, 4, commit({ operatorChanges: Uint8Array.of(4), deltas: [['sum', new Uint8Array(5)]], base }))
  held.n = 2
  expect(memory).toMatchObject({ version: 4, sent: false, operatorChanges: [] })
  expect(memory.operatorStates).toEqual(new Map([['sink', [{ n: 1 }]]]))
  expect(memory.logged.tailBytes).toBe(0)
})
