import { describe, expect, it } from 'vitest'
import { compileJob, defineJob, type KeyedStream, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { CommandLineParameters } from '../../runtime/api/job-parameters.js'
import { CountTrigger, EventTimeSessionWindows, TumblingEventTimeWindows } from '../../runtime/api/windowing/index.js'
import { listState, mapState, type RuntimeContext, ValueStateDescriptor, valueState } from '../../runtime/core/index.js'
import { declaredStates } from '../../runtime/task/job-states.js'

function statesOf(define: (keyed: KeyedStream<string, string>, env: StreamExecutionEnvironment) => void) {
  const job = defineJob('states', (env) =>
    define(
      env.fromElements('a').keyBy((word) => word),
      env,
    ),
  )
  return declaredStates(compileJob(job, {}), {
    parameters: CommandLineParameters.from([]),
    clock: { now: () => 0, monotonic: () => 0 },
  })
}

const text = { id: 'text', version: 3, encode: (value: string) => new TextEncoder().encode(value), decode: (data: Uint8Array) => String(data) }

describe('the states that a job declares', () => {
  it('are those beside its functions, those asked for when they open, and those of its operators', async () => {
    const states = await statesOf((keyed) => {
      keyed
        .process({
          state: { seen: valueState<number>(), all: listState<string>({ serde: text }), each: mapState<string, string>({ serde: text }) },
          open: (context: RuntimeContext) => void context.getState(new ValueStateDescriptor('later', { ttl: { ttlMs: 1_000 } })),
          processElement: () => {},
        })
        .uid('process')
        .print()
      keyed
        .reduce((a) => a)
        .uid('reduce')
        .print()
      keyed
        .map((word) => word)
        .uid('stateless')
        .print()
    })
    expect(states).toEqual({
      process: [
        { name: 'all', kind: 'list', serde: 'text/3', ttl: false },
        { name: 'each', kind: 'map', serde: 'structural,text/3', ttl: false },
        { name: 'later', kind: 'value', serde: 'structural', ttl: true },
        { name: 'seen', kind: 'value', serde: 'structural', ttl: false },
      ],
      reduce: [{ name: 'reduce', kind: 'reducing', serde: 'structural', ttl: false }],
      stateless: [],
    })
  })

  it('are the same of windows whether their timers are implied or not, and others of sessions', async () => {
    const states = await statesOf((keyed) => {
      const fixed = () => keyed.window(TumblingEventTimeWindows.of(1_000))
      fixed()
        .reduce((a) => a)
        .uid('plain')
        .print()
      fixed()
        .trigger(CountTrigger.of(2))
        .reduce((a) => a)
        .uid('triggered')
        .print()
      keyed
        .window(EventTimeSessionWindows.withGap(1_000))
        .reduce((a) => a)
        .uid('sessions')
        .print()
    })
    const contents = { name: 'window-contents', kind: 'reducing', serde: 'structural', ttl: false }
    expect(states.plain).toEqual([contents])
    expect(states.triggered).toEqual([contents])
    expect(states.sessions).toContainEqual(contents)
    expect(states.sessions.length).toBe(2)
  })

  it('are not known of a function that does not open here; what it has opened is closed', async () => {
    let closed = 0
    const states = await statesOf((keyed) => {
      const failing = {
        open: () => {
          throw new Error('no such secret')
        },
        processElement: () => {},
        close: () => void closed++,
      }
      keyed.process(failing).uid('failing').print()
      keyed
        .process({ state: { n: valueState<number>() }, processElement: () => {} })
        .uid('other')
        .print()
    })
    expect(Object.keys(states)).toEqual(['other'])
    expect(closed).toBe(1)
  })
})
