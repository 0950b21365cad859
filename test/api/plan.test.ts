import { describe, expect, test } from 'vitest'
import { compileJob, defineJob, explain, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { EventTimeSessionWindows, Trigger, TriggerResult, TumblingEventTimeWindows } from '../../runtime/api/windowing/index.js'
import { MillraceError, OutputTag } from '../../runtime/core/index.js'

type Define = (env: StreamExecutionEnvironment) => void

const stages = (define: Define, options = {}) =>
  compileJob(defineJob('plan', define), options).graph.vertices.map((vertex) => `${vertex.name} x${vertex.parallelism}`)

function refusal(define: Define, options = {}): MillraceError {
  try {
    compileJob(defineJob('plan', define), options)
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(MillraceError)
    expect((thrown as MillraceError).message).toContain('what to do:')
    return thrown as MillraceError
  }
  throw new Error('nothing was refused')
}

const inc = (n: number) => n + 1

describe('chains', () => {
  test('equal parallelism and no shuffle make one stage', () => {
    expect(stages((env) => env.fromElements(1).map(inc).filter(Boolean).collect('out'))).toEqual(['collection -> Map -> Filter -> Collect out x1'])
  })

  test('keyBy, partitioning, another parallelism and union begin a new one', () => {
    expect(
      stages((env) =>
        env
          .fromElements(1)
          .keyBy(inc)
          .reduce((a) => a)
          .map(inc)
          .collect('out'),
      ),
    ).toEqual(['collection x1', 'Reduce -> Map -> Collect out x1'])
    expect(stages((env) => env.fromElements(1).rebalance().map(inc).collect('out'))).toEqual(['collection x1', 'Map -> Collect out x1'])
    expect(stages((env) => env.fromElements(1).map(inc).setParallelism(2).collect('out'), { parallelism: 2 })).toEqual([
      'collection x1',
      'Map -> Collect out x2',
    ])
    expect(stages((env) => env.fromElements(1).union(env.fromElements(2)).map(inc).collect('out'))).toEqual([
      'collection x1',
      'collection x1',
      'Map -> Collect out x1',
    ])
  })

  test('startNewChain begins one, disableChaining stands alone, and chaining may be off altogether', () => {
    expect(stages((env) => env.fromElements(1).map(inc).map(inc).startNewChain().map(inc).collect('out'))).toEqual([
      'collection -> Map x1',
      'Map -> Map -> Collect out x1',
    ])
    expect(stages((env) => env.fromElements(1).map(inc).map(inc).disableChaining().map(inc).collect('out'))).toEqual([
      'collection -> Map x1',
      'Map x1',
      'Map -> Collect out x1',
    ])
    expect(stages((env) => env.disableOperatorChaining().fromElements(1).map(inc).collect('out'))).toEqual([
      'collection x1',
      'Map x1',
      'Collect out x1',
    ])
  })

  test('a stream with two readers stays one stage', () => {
    const define: Define = (env) => {
      const numbers = env.fromElements(1)
      numbers.map(inc).collect('a')
      numbers.filter(Boolean).collect('b')
    }
    expect(stages(define)).toEqual(['collection -> Map -> Collect a -> Filter -> Collect b x1'])
  })
})

describe('parallelism', () => {
  const define =
    (env: (e: StreamExecutionEnvironment) => void, operator?: number): Define =>
    (e) => {
      env(e)
      const mapped = e.fromElements(1).map(inc)
      if (operator !== undefined) mapped.setParallelism(operator)
      mapped.collect('out')
    }
  const ofMap = (d: Define, options = {}) => compileJob(defineJob('plan', d), options).graph.vertices.find((v) => v.name.includes('Map'))?.parallelism

  test('the nearest wins: operator, environment, run option, 1', () => {
    expect(ofMap(define(() => {}))).toBe(1)
    expect(
      ofMap(
        define(() => {}),
        { parallelism: 2 },
      ),
    ).toBe(2)
    expect(
      ofMap(
        define((e) => e.setParallelism(3)),
        { parallelism: 2 },
      ),
    ).toBe(3)
    expect(
      ofMap(
        define((e) => e.setParallelism(3), 4),
        { parallelism: 2 },
      ),
    ).toBe(4)
  })

  test('windowAll runs in one subtask', () => {
    expect(
      stages(
        (env) =>
          env
            .fromElements(1)
            .windowAll(TumblingEventTimeWindows.of(1))
            .reduce((a) => a)
            .collect('out'),
        { parallelism: 3 },
      ),
    ).toEqual(['collection x1', 'WindowAll(TumblingEventTimeWindows) x1', 'Collect out x3'])
  })

  test('more than one for windowAll is refused', () => {
    const error = refusal((env) =>
      env
        .fromElements(1)
        .windowAll(TumblingEventTimeWindows.of(1))
        .reduce((a) => a)
        .setParallelism(2)
        .collect('out'),
    )
    expect(error.message).toMatch(/PLAN_INVALID.*"WindowAll\(TumblingEventTimeWindows\)"/)
  })

  test.each([0, -1, 1.5, Number.NaN, 129])('%d is refused', (parallelism) => {
    expect(refusal((env) => env.fromElements(1).map(inc).setParallelism(parallelism).collect('out')).message).toMatch(
      /PLAN_INVALID: the parallelism of "Map"/,
    )
  })

  test.each([0, 32_769, 2.5])('a max parallelism of %d is refused', (max) => {
    expect(refusal((env) => env.fromElements(1).map(inc).setMaxParallelism(max).collect('out')).message).toMatch(
      /PLAN_INVALID: the max parallelism of "Map"/,
    )
    expect(refusal((env) => env.setMaxParallelism(max).fromElements(1).collect('out')).code).toBe('PLAN_INVALID')
  })

  test('max parallelism by operator, environment and option', () => {
    const max = (d: Define, options = {}) => compileJob(defineJob('plan', d), options).graph.vertices.at(-1)?.maxParallelism
    const keyed = (env: StreamExecutionEnvironment) =>
      env
        .fromElements(1)
        .keyBy(inc)
        .reduce((a) => a)
    expect(max((env) => keyed(env).collect('out'))).toBe(128)
    expect(max((env) => keyed(env).collect('out'), { maxParallelism: 64 })).toBe(64)
    expect(max((env) => keyed(env.setMaxParallelism(32)).collect('out'), { maxParallelism: 64 })).toBe(32)
    expect(max((env) => keyed(env).setMaxParallelism(16).collect('out'))).toBe(16)
  })
})

describe('what is refused', () => {
  test('a uid twice', () => {
    const error = refusal((env) => env.fromElements(1).map(inc).uid('same').name('First').map(inc).uid('same').name('Second').collect('out'))
    expect(error.message).toMatch(/UID_DUPLICATE: two operators have the uid "same": "First" and "Second"/)
    expect(error.message).toContain('job "plan"')
  })

  test('a job without a sink, or without anything', () => {
    expect(refusal((env) => void env.fromElements(1).map(inc)).message).toMatch(/JOB_EMPTY: job "plan" has no sink/)
    expect(refusal(() => {}).message).toMatch(/JOB_EMPTY: job "plan" describes nothing/)
  })

  test('an asynchronous description', () => {
    expect(refusal((async (env: StreamExecutionEnvironment) => void env.fromElements(1).collect('out')) as unknown as Define).message).toMatch(
      /PLAN_INVALID.*asynchronous/,
    )
  })

  test('attributes of what is no operator', () => {
    const tag = new OutputTag<number>('tag')
    for (const define of [
      (env) => env.fromElements(1).union(env.fromElements(2)).uid('u').collect('out'),
      (env) => env.fromElements(1).rebalance().name('n').collect('out'),
      (env) => env.fromElements(1).map(inc).getSideOutput(tag).setParallelism(2).collect('out'),
    ] satisfies Define[]) {
      expect(refusal(define).message).toMatch(/PLAN_INVALID: (uid|name|setParallelism)\(\) was called on/)
    }
  })

  test('forward between unequal parallelisms', () => {
    expect(refusal((env) => env.fromElements(1).forward().map(inc).setParallelism(2).collect('out')).message).toMatch(
      /PLAN_INVALID: forward\(\) from "collection" \(parallelism 1\) to "Map" \(2\)/,
    )
  })

  test('session windows with an aggregate without merge, or a trigger that cannot merge', () => {
    const sessions = (env: StreamExecutionEnvironment) => env.fromElements(1).keyBy(inc).window(EventTimeSessionWindows.withGap(1))
    const noMerge = { createAccumulator: () => 0, add: () => 0, getResult: (n: number) => n }
    expect(
      refusal((env) =>
        sessions(env)
          .aggregate(noMerge as never)
          .collect('out'),
      ).message,
    ).toMatch(/PLAN_INVALID.*has no merge/)
    class NoMerge extends Trigger<number, never> {
      override onElement = () => TriggerResult.CONTINUE
      override onEventTime = () => TriggerResult.CONTINUE
      override onProcessingTime = () => TriggerResult.CONTINUE
      override clear(): void {}
    }
    expect(
      refusal((env) =>
        sessions(env)
          .trigger(new NoMerge() as never)
          .reduce((a) => a)
          .collect('out'),
      ).message,
    ).toMatch(/PLAN_INVALID.*merging windows/)
    expect(
      refusal((env) =>
        sessions(env)
          .allowedLateness(-1)
          .reduce((a) => a)
          .collect('out'),
      ).message,
    ).toMatch(/OPTION_INVALID: allowed lateness is -1/)
  })
})

describe('the plan', () => {
  const define: Define = (env) => {
    const tag = new OutputTag<number>('odd')
    const split = env
      .fromElements(1)
      .name('numbers')
      .uid('src')
      .process({ processElement: () => {} })
      .uid('split')
      .name('Split')
    split
      .getSideOutput(tag)
      .keyBy(inc)
      .reduce((a) => a)
      .uid('sum')
      .name('Sum "all"')
      .collect('out')
    split.collect('even')
  }
  const job = defineJob('plan', define)

  test('is frozen', () => {
    const { graph } = compileJob(job)
    expect(() => {
      ;(graph.vertices[0] as { parallelism: number }).parallelism = 7
    }).toThrow(TypeError)
    expect(() => (graph.vertices as unknown[]).push({})).toThrow(TypeError)
    expect(Object.isFrozen(graph.vertices[0].operators[0].chainedInputs)).toBe(true)
  })

  test('as text', () => {
    expect(explain(job, { parallelism: 2 })).toMatchInlineSnapshot(`
      "Job plan: 3 stages

      Stage 1: numbers
        parallelism 1, max parallelism 128
        src: numbers (collection-source)

      Stage 2: Split -> Collect even
        parallelism 2, max parallelism 128
        reads stage 1 (src) by rebalance
        split: Split (process)
        Collect even: Collect even (collect)

      Stage 3: Sum "all" -> Collect out
        parallelism 2, max parallelism 128
        reads stage 2 (split, side output "odd") by hash
        sum: Sum "all" (reduce, keyed)
        Collect out: Collect out (collect)"
    `)
  })

  test('as Mermaid', () => {
    expect(explain(job, { format: 'mermaid' })).toMatchInlineSnapshot(`
      "flowchart LR
        s1["numbers<br/>Split<br/>Collect even<br/>x 1"]
        s2["Sum #quot;all#quot;<br/>Collect out<br/>x 1"]
        s1 -->|"odd: hash"| s2"
    `)
  })

  test('as JSON', () => {
    const graph = JSON.parse(explain(job, { format: 'json' }))
    expect(graph).toEqual(JSON.parse(JSON.stringify(compileJob(job).graph)))
    expect(graph.edges).toMatchObject([{ from: 'src', fromOperator: 'split', to: 'sum', sideTag: 'odd', partitioning: 'hash' }])
  })
})
