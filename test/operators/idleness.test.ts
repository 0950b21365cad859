import { describe, expect, test } from 'vitest'
import { defineJob } from '../../runtime/api/index.js'
import { TumblingEventTimeWindows } from '../../runtime/api/windowing/index.js'
import { type Source, WatermarkStrategy } from '../../runtime/core/index.js'
import { run } from '../../runtime/local/index.js'
import { Gate, gatedSource } from '../local/gated-source.js'
import { sorted, until } from '../local/run-job.js'

/** Like a watched folder with one file: subtask 0 reads it, the others wait for one that does not come. */
function onlyFirstReads(gate: Gate): Source<number> {
  const source = gatedSource(gate) as Source<number>
  return {
    ...source,
    createEnumerator: (context) => ({
      start: () => {},
      handleSplitRequest: (subtask) => {
        if (subtask === 0) context.assignSplit(0, { splitId: 'gated', next: 0 } as never)
      },
      addSplitsBack: () => {},
      snapshotState: () => undefined,
      close: () => {},
    }),
  }
}

async function windowSums(source: (gate: Gate) => Source<number>, strategy: WatermarkStrategy<number>, parallelism: number) {
  const gate = new Gate()
  const sums: number[] = []
  const job = defineJob('test', (env) => {
    env
      .fromSource(source(gate), strategy)
      .keyBy((i) => i % 2)
      .window(TumblingEventTimeWindows.of(100))
      .reduce((a, b) => a + b)
      .map((sum) => {
        sums.push(sum)
        return sum
      })
      .collect('out')
  })
  const handle = await run(job, { threads: 0, parallelism, autoWatermarkIntervalMs: 5 })
  return { gate, sums, handle }
}

describe('a source subtask without splits', () => {
  test('holds back windows, since a split may come', async () => {
    const { gate, sums, handle } = await windowSums(onlyFirstReads, WatermarkStrategy.forMonotonousTimestamps<number>(), 2)
    gate.openTo(30)
    await until(() => gate.emitted === 30)
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(sums).toEqual([])
    await handle.stop({ drain: true })
    expect(sums).toHaveLength(6)
  })

  test('does not once it counts as idle', async () => {
    const { gate, sums, handle } = await windowSums(onlyFirstReads, WatermarkStrategy.forMonotonousTimestamps<number>().withIdleness(30), 2)
    gate.openTo(21)
    await until(() => sums.length === 4)
    expect(sorted(sums)).toEqual(sorted([20, 25, 70, 75]))
    await handle.cancel()
  })
})

describe('an idle split', () => {
  test('goes on when something comes', async () => {
    const { gate, sums, handle } = await windowSums(
      gatedSource as (gate: Gate) => Source<number>,
      WatermarkStrategy.forMonotonousTimestamps<number>().withIdleness(20),
      2,
    )
    gate.openTo(11)
    await until(() => sums.length === 2)
    await new Promise((resolve) => setTimeout(resolve, 60))
    gate.openTo(31)
    await until(() => sums.length === 6)
    await handle.cancel()
  })
})
