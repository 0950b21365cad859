import { describe, expect, it } from 'vitest'
import { encodeFrame, type FrameElement } from '../../runtime/exchange/frame.js'
import type { Successor } from '../../runtime/ports/index.js'
import { BLANK_COMMIT } from '../../runtime/task/blank-commit.js'
import { type CommitRecord, encodeCommit } from '../../runtime/task/commit-record.js'
import type { ChannelState } from '../../runtime/task/input-channels.js'
import { encodeOutbox } from '../../runtime/task/outbox.js'
import { Checks, JobObserver } from '../../simulation/invariants.js'

const BLANK: CommitRecord = {
  ...BLANK_COMMIT,
  plan: 'plan',
  attempt: 1,
  kind: 'RESET',
  life: 'running',
  epoch: 0,
  lastNow: 0,
  index: 0,
  base: { version: 1, atMs: 0, state: null },
}

const MERGED: Successor = { splitId: 'c', parents: ['a', 'b'] }
const IDLE: FrameElement = { kind: 'status', idle: true }
const ACTIVE: FrameElement = { kind: 'status', idle: false }

/** A stage reads `a` and `b`, which are merged into `c`, and `d`; it is to see event time ahead of where `b` ends. */
class Watched {
  readonly checks = new Checks()
  readonly observer = new JobObserver(
    'job',
    this.checks,
    undefined,
    () => undefined,
    () => 0,
    () => {},
  )
  readonly #versions = new Map<string, number>()

  constructor() {
    for (const split of ['a', 'b', 'd']) this.#commit(`items/${split}`, BLANK)
    this.receives({ a: open(1), b: open(1), d: open(1) }, Number.NEGATIVE_INFINITY, 'RESET')
  }

  /** Frame `seq` of a split, with these watermarks and statuses in it. */
  sends(from: string, seq: number, elements: readonly FrameElement[], watermark: number, ended = false): void {
    const end = ended ? { successors: from === 'd' ? [] : [MERGED] } : null
    const frame = { attempt: 1, edge: 0, from, to: 0, seq, epoch: 0, stop: false, elements, watermark, idle: false, end }
    const bytes = encodeFrame(frame)
    const outbox = encodeOutbox({ frames: [{ stage: 'stage-1', to: 0, bytes }], sinks: [], letters: [], wakeAt: null, ack: null })
    this.#commit(`items/${from}`, { ...BLANK, kind: 'BATCH', outbox })
    this.observer.framePut('stage-1', bytes)
  }

  receives(channels: Readonly<Record<string, ChannelState>>, eventTime: number, kind: CommitRecord['kind'] = 'BATCH'): void {
    const named = Object.fromEntries(Object.entries(channels).map(([split, state]) => [`0:${split}`, state]))
    this.#commit('stage-1/0', { ...BLANK, kind, channels: named, inputs: [{ watermark: eventTime, idle: false }] })
  }

  /** `a` and `b` have ended at 20 and at 10, and `c` begins at `watermark`; `d` is at 50. */
  merges(next: { readonly b: number }, watermark = 10): void {
    this.sends('a', 2, [], 20, true)
    this.sends('b', next.b, [], 10, true)
    this.receives({ a: ended(3, 20), b: ended(next.b + 1, 10), c: open(1, watermark), d: open(2, 50) }, 20)
  }

  #commit(name: string, record: CommitRecord): void {
    const log = `job/r1/${name}`
    const version = (this.#versions.get(log) ?? 0) + 1
    this.#versions.set(log, version)
    const payload = encodeCommit({ ...record, base: { version: version - 1, atMs: 0, state: null } })
    this.observer.appended(log, { version, payload, expiresAtMs: 0 }, true)
  }
}

function open(next: number, watermark = Number.NEGATIVE_INFINITY): ChannelState {
  return { next, watermark, idle: false, successors: null }
}

function ended(next: number, watermark: number): ChannelState {
  return { next, watermark, idle: false, successors: [] }
}

describe('the check of channels that begin', () => {
  it('knows that event time passed a channel which became idle and came back within one commit', () => {
    const watched = new Watched()
    watched.sends('a', 1, [], 20)
    watched.sends('b', 1, [IDLE], 5)
    watched.sends('b', 2, [ACTIVE], 10)
    watched.sends('d', 1, [], 50)
    watched.receives({ a: open(2, 20), b: open(3, 10), d: open(2, 50) }, 20)
    watched.merges({ b: 3 })
    expect(watched.checks.violation).toBeUndefined()
  })

  it('does not let event time pass a channel because another has been idle', () => {
    const watched = new Watched()
    watched.sends('a', 1, [], 20)
    watched.sends('b', 1, [], 10)
    watched.sends('d', 1, [IDLE, ACTIVE], 50)
    watched.receives({ a: open(2, 20), b: open(2, 10), d: open(2, 50) }, 20)
    watched.merges({ b: 2 })
    expect(watched.checks.violation?.what).toContain('channel 0:c begins at 10, event time is at 20')
  })

  it('does not let event time pass a channel that only becomes idle later', () => {
    const watched = new Watched()
    watched.sends('a', 1, [], 20)
    watched.sends('b', 1, [], 5)
    watched.sends('b', 2, [IDLE, ACTIVE], 10)
    watched.sends('d', 1, [], 50)
    watched.receives({ a: open(2, 20), b: open(2, 5), d: open(2, 50) }, 20)
    watched.merges({ b: 3 })
    expect(watched.checks.violation?.what).toContain('channel 0:c begins at 10, event time is at 20')
  })

  it('does not let a channel begin behind where those before it ended, idle or not', () => {
    const watched = new Watched()
    watched.sends('a', 1, [], 20)
    watched.sends('b', 1, [IDLE, ACTIVE], 10)
    watched.sends('d', 1, [], 50)
    watched.receives({ a: open(2, 20), b: open(2, 10), d: open(2, 50) }, 20)
    watched.merges({ b: 2 }, 9)
    expect(watched.checks.violation?.what).toContain('channel 0:c begins at 9, those before it ended at 10')
  })
})
