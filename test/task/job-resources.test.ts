import { defineJob, explain, type Job, kinesisSource, run, type Sink, sequenceSource, utf8Line, WatermarkStrategy } from 'millrace'
import { describe, expect, it } from 'vitest'
import { deploymentPlan } from '../../functions/deployment-plan.js'

/** Writes what its table is called. */
function tableSink(seen: string[]): Sink<unknown> {
  return {
    name: 'table-sink',
    resources: [{ name: 'counts', kind: 'table', access: 'write' }],
    createWriter: ({ runtime }) => {
      seen.push(runtime.physicalName('counts'))
      return { write: () => {}, prepareCommit: () => [], close: () => {} }
    },
  }
}

const named = (seen: string[] = []) =>
  defineJob('named', (env) => {
    const source = { ...sequenceSource(1, 3), resources: [{ name: 'numbers', kind: 'stream', access: 'read' }] as const }
    const { createEnumerator } = source
    source.createEnumerator = (context, restored) => {
      seen.push(context.physicalName('numbers'))
      return createEnumerator(context, restored)
    }
    env.fromSource(source, WatermarkStrategy.noWatermarks()).sinkTo(tableSink(seen))
  })

async function seenBy(job: (seen: string[]) => Job, bindings?: Record<string, string>): Promise<string[]> {
  const seen: string[] = []
  await (await run(job(seen), { threads: 0, bindings })).result()
  return seen.sort()
}

describe('bindings', () => {
  it('give sources and sinks of one process the physical names', async () => {
    expect(await seenBy(named, { counts: 'counts-dev', numbers: 'numbers-dev' })).toEqual(['counts-dev', 'numbers-dev'])
  })

  it('default to the names themselves', async () => {
    expect(await seenBy(named)).toEqual(['counts', 'numbers'])
    expect(await seenBy(named, { counts: 'counts-dev' })).toEqual(['counts-dev', 'numbers'])
  })

  it('of what the job does not have are refused, with what it has', async () => {
    await expect(run(named(), { bindings: { count: 'x' } })).rejects.toThrow(
      /OPTION_INVALID: "count" is bound, and no source or sink of job "named" has it.*Bind one of: numbers, counts\./s,
    )
    await expect(run(named(), { bindings: { counts: '' } })).rejects.toThrow(/"counts" is bound to nothing/)
    const unnamed = defineJob('unnamed', (env) => void env.fromElements(1).print())
    await expect(run(unnamed, { bindings: { toString: 'x' } })).rejects.toThrow(/leave the binding out/)
  })

  it('are no part of the plan', () => {
    expect(explain(named(), { bindings: { counts: 'counts-dev' }, format: 'json' })).toBe(explain(named(), { format: 'json' }))
  })
})

describe('the plan of a deployment', () => {
  it('lists what each stage touches, each once', () => {
    const job = defineJob('resources', (env) => {
      const lines = env.fromSource(kinesisSource({ stream: 'accessLog', deserialize: utf8Line }), WatermarkStrategy.noWatermarks()).uid('lines')
      lines.sinkTo(tableSink([])).uid('raw')
      const lengths = lines
        .keyBy((line) => line)
        .map((line) => line.length)
        .uid('lengths')
      lengths.sinkTo(tableSink([])).uid('one')
      lengths.sinkTo(tableSink([])).uid('other')
      lengths
        .keyBy((length) => length)
        .map((length) => length)
        .uid('last')
        .print()
    })
    expect(deploymentPlan(job, { parameters: [], parallelism: 1 }).resources).toEqual({
      lines: [
        { name: 'accessLog', kind: 'stream', access: 'read' },
        { name: 'counts', kind: 'table', access: 'write' },
      ],
      lengths: [{ name: 'counts', kind: 'table', access: 'write' }],
    })
  })
})
