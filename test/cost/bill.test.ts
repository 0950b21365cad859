import { describe, expect, it } from 'vitest'
import { bill, cheapestMemoryMb, type Line, managedFlink, type Stack, totalUsd } from '../../cost/bill.js'
import { type Invocation, noUsage, type Usage } from '../../cost/meter.js'
import { HOURS_A_MONTH, PRICES, type Price, priceOf } from '../../cost/prices.js'
import { typical } from '../../cost/statistics.js'
import { billedMs, gbSeconds, itemBytes, putUnits, readUnits, writeUnits } from '../../cost/units.js'

const STACK: Stack = {
  shards: 0,
  extendedRetention: true,
  queues: 0,
  memoryMb: { stage: 512, control: 256 },
  logRetentionDays: 3,
  partRetentionDays: 7,
  checkpointRetentionDays: 1,
}

function lineOf(lines: readonly Line[], name: string): Line {
  const line = lines.find((candidate) => candidate.name === name)
  if (line === undefined) throw new Error(`no line ${name}`)
  return line
}

/** The bill of so much every second, of the stages and of the control function. */
function everySecond(usage: Partial<Usage>, invocations: readonly Invocation[] = [], control: Partial<Usage> = {}): Line[] {
  return bill({ seconds: 1, usage: { ...noUsage(), ...usage }, control: { ...noUsage(), ...control }, invocations }, STACK)
}

describe('prices', () => {
  it('give what a sustained one a second costs a month', () => {
    const used = { dynamoWriteUnits: 1, dynamoReadUnits: 1, s3Puts: 1, s3Gets: 1, lambdaRequests: 1, sqsRequests: 1 }
    const lines = everySecond(used)
    expect(lineOf(lines, 'DynamoDB writes').usd).toBeCloseTo(1.6425, 4)
    expect(lineOf(lines, 'DynamoDB reads').usd).toBeCloseTo(0.3285, 4)
    expect(lineOf(lines, 'S3 PUT').usd).toBeCloseTo(13.14, 4)
    expect(lineOf(lines, 'S3 GET').usd).toBeCloseTo(1.0512, 4)
    expect(lineOf(lines, 'Lambda requests').usd).toBeCloseTo(0.5256, 4)
    expect(lineOf(lines, 'SQS pokes').usd).toBeCloseTo(1.0512, 4)
    const sum = 1.6425 + 0.3285 + 13.14 + 1.0512 + 0.5256 + 1.0512
    expect(totalUsd(lines)).toBeCloseTo(sum, 4)
    // The control function's is as much, by its own lines.
    const both = everySecond(used, [], { ...used, machineRequests: 1, machineGbSeconds: 1 })
    expect(lineOf(both, 'Control: Step Functions requests').usd).toBeCloseTo(2.628, 4)
    expect(lineOf(both, 'Control: Step Functions duration').usd).toBeCloseTo(43.8088, 3)
    expect(totalUsd(both)).toBeCloseTo(2 * sum + 2.628 + 43.8088, 3)
  })

  it('count shards by the hour, retention beside them', () => {
    const stack = { ...STACK, shards: 2 }
    const lines = bill({ seconds: 60, usage: noUsage(), control: noUsage(), invocations: [] }, stack)
    expect(lineOf(lines, 'Kinesis shards between stages')).toMatchObject({ quantity: 2 * HOURS_A_MONTH, usd: 21.9 })
    expect(lineOf(lines, 'Kinesis retention of 7 days').usd).toBeCloseTo(29.2, 6)
    expect(
      totalUsd(bill({ seconds: 60, usage: noUsage(), control: noUsage(), invocations: [] }, { ...stack, extendedRetention: false })),
    ).toBeCloseTo(21.9, 6)
  })

  it('count storage by how long it is kept: items three days, parts of commits seven, checkpoints one', () => {
    const lines = everySecond({ dynamoWrittenBytes: 1_000, s3PartBytes: 1_000, s3CheckpointBytes: 600 }, [], { s3CheckpointBytes: 400 })
    expect(lineOf(lines, 'DynamoDB storage').quantity).toBeCloseTo(0.2592, 6)
    expect(lineOf(lines, 'S3 storage of parts').quantity).toBeCloseTo(0.6048, 6)
    expect(lineOf(lines, 'S3 storage of checkpoints').quantity).toBeCloseTo(0.0864, 6)
  })

  it('call it monitoring when nothing is done but to look whether something should be', () => {
    const control = { lambdaRequests: 1, dynamoReadUnits: 1 }
    const groupsOf = (lines: readonly Line[]) => lines.filter(({ name }) => name.startsWith('Control: ')).map(({ group }) => group)
    expect(new Set(groupsOf(everySecond({}, [], control)))).toEqual(new Set(['monitoring']))
    expect(new Set(groupsOf(everySecond({ lambdaRequests: 1 }, [], control)))).toEqual(new Set(['coordination']))
  })

  it('say of each where it comes from', () => {
    for (const { usd, per, unit, source } of Object.values<Price>(PRICES)) {
      expect([usd >= 0, per > 0, unit !== '', source.startsWith('aws.amazon.com/')]).toEqual([true, true, true, true])
    }
    expect(priceOf('lambdaGbSecond', 1_000_000)).toBeCloseTo(16.6667, 4)
  })

  it("know Managed Flink's least, and its KPUs by load", () => {
    expect(managedFlink(2_000)).toEqual({ kpus: 1, usd: 0.11 * 2 * 730 + 5 })
    expect(managedFlink(2_000_000).kpus).toBe(2)
    expect(managedFlink(2_000_001).kpus).toBe(3)
  })
})

describe('units', () => {
  it('round up as the services do', () => {
    expect([0, 1, 1_024, 1_025, 8_192].map(writeUnits)).toEqual([1, 1, 1, 2, 8])
    expect([0, 4_096, 4_097].map(readUnits)).toEqual([1, 1, 2])
    expect([1, 25_600, 25_601].map(putUnits)).toEqual([1, 1, 2])
  })

  it('count the bytes of an item with the names of its attributes', () => {
    // pk + 4, sk + 3, payload + 10, expiresAt + 1700000000 as 5 + 1 bytes
    expect(itemBytes({ log: 'j/1é', sortKey: 'v01', payload: 10, number: { name: 'expiresAt', value: 1_700_000_000 } })).toBe(7 + 5 + 17 + 15)
    expect(itemBytes({ log: 'j', sortKey: 'z', payload: 0, number: undefined })).toBe(3 + 3 + 7)
  })

  it('bill whole milliseconds of CPU by memory, and of waiting', () => {
    expect(billedMs({ cpuMs: 10, calls: 3 }, 1_769)).toBe(25)
    expect(billedMs({ cpuMs: 10, calls: 3 }, 256)).toBe(Math.ceil(69.1015625 + 15))
    // One thread has no use for more than one CPU.
    expect(billedMs({ cpuMs: 10, calls: 0 }, 3_538)).toBe(10)
    expect(billedMs({ cpuMs: 0, calls: 0 }, 256)).toBe(1)
    expect(gbSeconds(500, 512)).toBe(0.25)
  })
})

describe('Lambda duration', () => {
  const invocation = (cpuMs: number, calls = 2): Invocation => ({ function: 'stage', cpuMs, calls })

  it('adds up what each invocation is billed', () => {
    const lines = everySecond({}, [invocation(1), invocation(2)])
    const ms = Math.ceil(1_769 / 512 + 10) + Math.ceil((2 * 1_769) / 512 + 10)
    expect(lineOf(lines, 'Lambda duration').quantity).toBeCloseTo(((ms / 1_000) * 730 * 3_600) / 2, 6)
  })

  it('takes the least memory with which all keep up', () => {
    expect(cheapestMemoryMb([invocation(1), invocation(20)])).toBe(256)
    expect(cheapestMemoryMb([invocation(1), invocation(100)])).toBe(512)
    expect(cheapestMemoryMb([invocation(10_000)])).toBe(1_769)
    expect(cheapestMemoryMb([])).toBe(256)
  })

  it('takes of each invocation the median of the rounds that are alike', () => {
    const rounds = [
      [1, 10],
      [3, 30],
      [2, 50],
      [100, 100, 100],
    ].map((round) => round.map((cpuMs) => ({ cpuMs })))
    expect(typical(rounds)).toEqual([{ cpuMs: 2 }, { cpuMs: 30 }])
  })
})
