import { describe, expect, it } from 'vitest'
import { AsyncDataStream, type Collector, type DataStream, OutputTag, type ResultFuture, valueState } from '../../runtime/index.js'
import { OperatorHarness } from '../../runtime/testing/index.js'

const rare = new OutputTag<string>('rare')

const counting = (words: DataStream<string>) =>
  words
    .keyBy((word) => word)
    .process({
      state: { n: valueState<number>() },
      processElement(word, ctx, out: Collector<string>) {
        const n = (ctx.state.n.value() ?? 0) + 1
        ctx.state.n.update(n)
        if (n === 1) ctx.timerService.registerEventTimeTimer((ctx.timestamp ?? 0) + 10)
        out.collect(`${word} ${n}`)
      },
      onTimer(_at, ctx) {
        if (ctx.state.n.value() === 1) ctx.output(rare, ctx.currentKey)
      },
    })

describe('OperatorHarness', () => {
  it('runs a keyed function with its timers and side outputs', async () => {
    const harness = await OperatorHarness.open(counting, { sideOutputs: [rare as OutputTag<unknown>] })
    harness.input.element('be', 5)
    harness.input.element('to', 6)
    harness.input.element('to', 7)
    harness.input.watermark(16)
    expect(harness.values()).toEqual(['be 1', 'to 1', 'to 2'])
    expect(harness.output().at(-1)).toEqual({ kind: 'watermark', watermark: 16 })
    expect(harness.sideOutput(rare)).toContainEqual({ kind: 'record', value: 'be', timestamp: 15 })
    await harness.close()
  })

  it('restores state and timers', async () => {
    const first = await OperatorHarness.open(counting)
    first.input.element('be', 5)
    const restored = await first.snapshot()
    const second = await OperatorHarness.open(counting, { restored, sideOutputs: [rare as OutputTag<unknown>] })
    second.input.watermark(100)
    second.input.element('be', 200)
    expect(second.values()).toEqual(['be 2'])
    expect(second.sideOutput(rare)).toContainEqual({ kind: 'record', value: 'be', timestamp: 15 })
  })

  it('runs two inputs, whose lesser watermark counts', async () => {
    const harness = await OperatorHarness.openTwoInput((words: DataStream<string>, factors: DataStream<number>) =>
      words.connect(factors).map({ map1: (word) => word.toUpperCase(), map2: (n) => `x${n}` }),
    )
    harness.input.element('a', 1)
    harness.input2.element(2, 2)
    harness.input.watermark(9)
    harness.input2.watermark(4)
    expect(harness.output()).toEqual([
      { kind: 'record', value: 'A', timestamp: 1 },
      { kind: 'record', value: 'x2', timestamp: 2 },
      { kind: 'watermark', watermark: 4 },
    ])
  })

  it('holds back what an asynchronous operator has no room for', async () => {
    const calls: ResultFuture<string>[] = []
    const harness = await OperatorHarness.open((words: DataStream<string>) =>
      AsyncDataStream.orderedWait(
        words,
        { asyncInvoke: (_word: string, future: ResultFuture<string>) => void calls.push(future) },
        { timeoutMs: 0, capacity: 1 },
      ),
    )
    harness.input.element('a', 1)
    harness.input.element('b', 2)
    harness.input.watermark(3)
    expect(calls).toHaveLength(1)
    calls[0].complete(['A'])
    await harness.settle()
    expect(harness.values()).toEqual(['A'])
    expect(calls).toHaveLength(2)
    calls[1].complete(['B', 'BB'])
    await harness.settle()
    expect(harness.output().slice(1)).toEqual([
      { kind: 'record', value: 'B', timestamp: 2 },
      { kind: 'record', value: 'BB', timestamp: 2 },
      { kind: 'watermark', watermark: 3 },
    ])
  })
})
