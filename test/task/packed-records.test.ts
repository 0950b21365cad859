import { beforeEach, describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { kinesisSource, WatermarkStrategy } from '../../runtime/index.js'
import type { KeyRange } from '../../runtime/ports/index.js'
import type { StageSettings } from '../../runtime/task/stage-settings.js'
import { aggregate } from '../connectors/kinesis/aggregate.js'
import { Outside, Stages, StageWorld } from './stage-world.js'

let world: StageWorld
let outside: Outside
/** What the source was asked to make of each record, with what it was told of it. */
let read: string[]

beforeEach(() => {
  world = StageWorld.withStream('words')
  outside = new Outside()
  read = []
})

/** Numbers all words in the order in which they come. */
function numbering(env: StreamExecutionEnvironment): void {
  const deserialize = (data: Uint8Array, { subSequenceNumber, partitionKey }: { subSequenceNumber: number; partitionKey: string }) => {
    const word = new TextDecoder().decode(data)
    read.push(`${word} ${subSequenceNumber} ${partitionKey}`)
    if (word === 'bad') throw new Error('no')
    return word
  }
  env
    .fromSource(kinesisSource({ stream: 'words', deserialize }), WatermarkStrategy.noWatermarks<string>())
    .uid('words')
    .setParallelism(1)
    .keyBy(() => 'all')
    .reduce((before, word) => `${before},${word}`)
    .uid('join')
    .sinkTo(outside.sink())
    .uid('out')
}

async function started(settings: Partial<StageSettings> = {}, range?: KeyRange): Promise<Stages> {
  const stages = new Stages(world, numbering, { settings })
  if (range !== undefined) Object.assign(stages.ports.streams, { keyRange: async () => range })
  await stages.activate()
  return stages
}

const words = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `w${from + i}`)
const packed = (names: readonly string[]) => aggregate(names.map((data) => ({ data, partitionKey: 'p' })))
const last = () => outside.values.at(-1)

describe('a record that holds several', () => {
  it('gives each of them, with its key and its place', async () => {
    const stages = await started()
    stages.putBytes('words', 's0', packed(['a', 'b']))
    stages.putBytes('words', 's0', new TextEncoder().encode('c'))
    await stages.comeToRest()
    expect(last()).toBe('a,b,c')
    expect(read).toEqual(['a 0 p', 'b 1 p', 'c 0 '])
  })

  it('is in one commit, whatever the budget is, and counts once when a commit is lost', async () => {
    const stages = await started({ commitRecords: 4 })
    for (let i = 0; i < 5; i++) stages.putBytes('words', 's0', packed(words(i * 3, i * 3 + 3)))
    let appends = 0
    world.fault = ({ port, operation, key }) => {
      if (port !== 'log' || operation !== 'append' || !key.includes('words')) return undefined
      // Every other commit does not come through at first.
      return ++appends % 2 === 1 ? { kind: 'throw-before' } : undefined
    }
    await stages.comeToRest({ tries: 20 })
    expect(last()).toBe(words(0, 15).join(','))
    const positions = (await stages.commits('words', 's0')).filter(({ kind }) => kind === 'BATCH').map(({ position }) => position)
    const records = world.streams.stream('words').records('s0')
    // Two records of three exceed four: each commit ends behind one, and none is divided.
    expect(positions).toEqual([1, 3, 4].map((index) => String(records[index].position)))
  })

  it('does not give what the split has no keys for', async () => {
    const stages = await started({}, { first: 10n, last: 19n })
    const parts = ['9', '10', '19', '20'].map((explicitHashKey) => ({ data: `h${explicitHashKey}`, partitionKey: 'p', explicitHashKey }))
    stages.putBytes('words', 's0', aggregate(parts))
    stages.putBytes('words', 's0', aggregate(parts.slice(0, 1)))
    stages.putBytes('words', 's0', new TextEncoder().encode('plain'))
    await stages.comeToRest()
    expect(last()).toBe('h10,h19,plain')
    expect(stages.acknowledged('words', 's0')).toBe(3)
  })

  it('goes to the dead letters only as far as it fails', async () => {
    const stages = await started({ failingRecords: 'dead-letter' })
    stages.putBytes('words', 's0', packed(['a', 'b']))
    stages.putBytes('words', 's0', packed(['c', 'bad', 'd', 'bad', 'e']))
    stages.putBytes('words', 's0', packed(['f']))
    await stages.comeToRest()
    expect(last()).toBe('a,b,c,d,e,f')
    const [, { position }] = world.streams.stream('words').records('s0')
    const letters = [...world.letters.values()].map(({ where, record }) => [where, new TextDecoder().decode(record as Uint8Array)])
    expect(letters).toEqual([
      [`s0 ${position}/1`, 'bad'],
      [`s0 ${position}/3`, 'bad'],
    ])
  })
})
