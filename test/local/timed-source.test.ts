import { describe, expect, test } from 'vitest'
import { FixedSplitEnumerator, type FixedSplitState } from '../../runtime/connectors/base/fixed-split-enumerator.js'
import { type ReaderOutput, type ReadStatus, type Source, type SourceReader, WatermarkStrategy } from '../../runtime/core/index.js'
import { outOf, runJob } from './run-job.js'

interface OneSplit {
  readonly splitId: string
}

/** 0, 1, … below `count`, one a poll; before each it waits, as `dueInMs` says. */
function timedSource(
  count: number,
  dueInMs: (i: number) => number | undefined,
  log: string[] = [],
): Source<number, OneSplit, FixedSplitState<OneSplit>> {
  return {
    name: 'timed-source',
    boundedness: 'bounded',
    createEnumerator: (context, restored) => new FixedSplitEnumerator(context, restored, () => [{ splitId: 'one' }]),
    createReader: (context) => {
      context.requestSplit()
      return new TimedReader(count, dueInMs, log)
    },
  }
}

class TimedReader implements SourceReader<number, OneSplit> {
  #next = 0
  #waited = false
  #assigned!: () => void
  #reading = false
  readonly #available = new Promise<void>((resolve) => {
    this.#assigned = resolve
  })

  constructor(
    readonly count: number,
    readonly due: (i: number) => number | undefined,
    readonly log: string[],
  ) {}

  start(): void {}

  pollNext(out: ReaderOutput<number>): ReadStatus {
    if (!this.#reading) return 'waiting'
    if (this.#next === this.count) return 'end'
    if (!this.#waited && this.due(this.#next) !== undefined) {
      this.#waited = true
      this.log.push(`wait ${this.#next}`)
      return 'waiting'
    }
    this.#waited = false
    this.log.push(`read ${this.#next}`)
    out.collect(this.#next++)
    return 'more'
  }

  dueInMs(): number | undefined {
    return this.#reading ? this.due(this.#next) : undefined
  }

  available(): Promise<void> {
    if (this.#reading) throw new Error('asked although the reader said when')
    return this.#available
  }

  addSplits(): void {
    this.#reading = true
    this.#assigned()
  }

  notifyNoMoreSplits(): void {}

  snapshotState(): OneSplit[] {
    return []
  }

  close(): void {}
}

describe('a source that waits for time alone', () => {
  for (const ms of [0, -5, 0.1, 1, 3, 20]) {
    test(`is polled again when it says so: in ${ms} ms`, async () => {
      const out = await outOf((env) =>
        env
          .fromSource(
            timedSource(5, () => ms),
            WatermarkStrategy.noWatermarks(),
            'timed',
          )
          .collect('out'),
      )
      expect(out).toEqual([0, 1, 2, 3, 4])
    })
  }

  test('lets others of its thread work meanwhile', async () => {
    const out = await outOf((env) => {
      const slow = env.fromSource(
        timedSource(3, () => 1.2),
        WatermarkStrategy.noWatermarks(),
        'slow',
      )
      const items = env.fromCollection([10, 11, 12])
      slow.union(items).collect('out')
    })
    expect([...out].sort((a, b) => Number(a) - Number(b))).toEqual([0, 1, 2, 10, 11, 12])
  })
})

test('what a source has emitted is processed before the source is polled again, when nothing is to wait in buffers', async () => {
  const log: string[] = []
  await runJob(
    (env) => {
      env
        .fromSource(
          timedSource(3, () => 0.05, log),
          WatermarkStrategy.noWatermarks(),
          'timed',
        )
        .keyBy((n) => n)
        .map((n) => {
          log.push(`map ${n}`)
          return n
        })
        .collect('out')
    },
    { bufferTimeoutMs: 0 },
  )
  expect(log).toEqual([0, 1, 2].flatMap((n) => [`wait ${n}`, `read ${n}`, `map ${n}`]))
})
