import { describe, expect, it } from 'vitest'
import { compileJob, defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { unnamedState } from '../../runtime/plan/index.js'

function operatorsOf(define: (env: StreamExecutionEnvironment) => void) {
  const { graph } = compileJob(defineJob('uids', define), {})
  const operators = graph.vertices.flatMap((vertex) => vertex.operators)
  return { uids: operators.map(({ uid }) => uid), unnamed: unnamedState(graph).map(({ name }) => name) }
}

describe('uids that the job does not give', () => {
  it('are the names of sources and sinks, and made up for others', () => {
    const { uids, unnamed } = operatorsOf((env) => {
      const numbers = env.fromElements(1).map((n) => n)
      numbers.print()
      numbers.print().name('shown')
      numbers.collect('out').uid('given')
    })
    expect(uids).toEqual(['collection', 'map-2', 'Print', 'shown', 'given'])
    expect(unnamed).toEqual([])
  })

  it('are made up where a name is not the only one, and that is said', () => {
    const { uids, unnamed } = operatorsOf((env) => {
      env.fromElements(1).print()
      env.fromElements(2).print()
      env
        .fromElements(3)
        .uid('three')
        .map((n) => n)
        .uid('last')
        .print()
        .name('last')
    })
    expect(uids).toEqual(['collection-source-1', 'print-sink-2', 'collection-source-3', 'print-sink-4', 'three', 'last', 'print-sink-7'])
    expect(unnamed).toEqual(['collection', 'Print', 'collection', 'Print', 'last'])
  })

  it('stay the same when something comes before', () => {
    const named = (env: StreamExecutionEnvironment) => env.fromElements(1).name('numbers').print()
    const later = (env: StreamExecutionEnvironment) => {
      env
        .fromSequence(1, 2)
        .map((n) => n)
        .collect('more')
      named(env)
    }
    expect(operatorsOf(later).uids).toEqual(expect.arrayContaining(operatorsOf((env) => void named(env)).uids))
  })
})
