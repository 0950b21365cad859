import type { Readable, Writable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { withPackages } from '../runtime/backends/aws/optional-package.js'
import { aggregateRecords } from '../runtime/connectors/kinesis/aggregate-records.js'
import type { KinesisWrites } from '../runtime/connectors/kinesis/kinesis-writes.js'
import type { OutgoingRecord } from '../runtime/connectors/kinesis/outgoing-record.js'
import { MillraceError } from '../runtime/core/index.js'
import { EXIT } from './exit-codes.js'
import { linesOf, openInput, type PipeInputFlags } from './pipe-input.js'
import { type PartitionKey, partitionKey } from './pipe-keys.js'
import { stopOnSignal } from './stop-on-signal.js'

/** Options of `millrace pipe` as commander hands them over. */
export interface PipeFlags extends PipeInputFlags {
  /** Name of the Kinesis stream. */
  readonly stream: string
  readonly partitionKey?: PartitionKey
  /** Lines a second at most. */
  readonly rate?: number
  /** Packs lines of a key into aggregated records. */
  readonly aggregate?: boolean
  readonly quiet?: boolean
}

export interface PipeStreams {
  readonly stdin: Readable
  readonly stderr: Pick<Writable, 'write'>
}

const MOST_LINES = 500
/** With aggregation a request holds many more. */
const MOST_AGGREGATED_LINES = 10_000
const AGGREGATE_BYTES = 256 * 1024
const LARGEST_RECORD = 1024 * 1024
const REPORT_MS = 5_000

/**
 * Carries lines into a Kinesis stream until they end or a signal comes; then what has been read is sent, and no more. Nothing is read while a request is on its
 * way, so whoever writes is held back. Resolves with the exit code; rejects with what failed.
 */
export async function pipeCommand(flags: PipeFlags, { stdin, stderr }: PipeStreams = process): Promise<number> {
  const input = openInput(flags, stdin)
  const say = (text: string) => flags.quiet !== true && stderr.write(`millrace: ${text}\n`)
  let stop: () => void = () => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  const signals = stopOnSignal(
    (signal) => {
      say(`${signal}: sending what has been read (again: at once)`)
      stop()
    },
    (code) => process.exit(code),
  )
  const { KinesisWrites } = await withPackages('Writing to a stream', () => import('../runtime/connectors/kinesis/kinesis-writes.js'))
  const writes = await KinesisWrites.open(flags.stream)
  const carrier = new LineCarrier(writes, flags)
  const report = setInterval(() => say(carrier.progress), REPORT_MS)
  try {
    for await (const lines of linesOf(input, stopped)) await carrier.send(lines)
    say(carrier.progress)
    return signals.exitCode ?? EXIT.finished
  } catch (thrown) {
    // Also with --quiet: where it stopped is part of what went wrong.
    stderr.write(`millrace: stopped after ${carrier.progress}\n`)
    throw thrown
  } finally {
    clearInterval(report)
    signals.close()
    writes.close()
  }
}

/** Sends lines in requests as large as may be, and counts. */
class LineCarrier {
  readonly #key: PartitionKey
  readonly #startedAt = performance.now()
  #lines = 0
  #bytes = 0

  constructor(
    readonly writes: KinesisWrites,
    readonly flags: PipeFlags,
  ) {
    this.#key = flags.partitionKey ?? partitionKey('random')
  }

  get progress(): string {
    const put = this.writes.retried === 0 ? '' : `, ${this.writes.retried.toLocaleString('en')} records put again`
    return `${this.#lines.toLocaleString('en')} lines (${this.#bytes.toLocaleString('en')} bytes) into ${this.flags.stream}${put}`
  }

  async send(lines: readonly string[]): Promise<void> {
    const { rate, aggregate } = this.flags
    const most = Math.min(
      aggregate === true ? MOST_AGGREGATED_LINES : MOST_LINES,
      rate === undefined ? Number.POSITIVE_INFINITY : Math.ceil(rate / 10),
    )
    for (let from = 0; from < lines.length; from += most) {
      const records = lines.slice(from, from + most).map((line, index) => this.#record(line, this.#lines + index + 1))
      await this.writes.put(aggregate === true ? this.#aggregated(records) : records, this.#key.ordered ? 'by-key' : 'none')
      this.#lines += records.length
      for (const { data } of records) this.#bytes += data.length
      if (rate !== undefined) await pause(Math.max(0, this.#startedAt + (this.#lines / rate) * 1_000 - performance.now()))
    }
  }

  #record(line: string, lineNumber: number): OutgoingRecord {
    const data = new TextEncoder().encode(line)
    const key = this.#key.of(line, lineNumber) ?? `line ${lineNumber}`
    if (data.length + Buffer.byteLength(key) <= LARGEST_RECORD) return { data, partitionKey: key }
    throw new MillraceError('RECORD_UNSERIALISABLE', {
      what: `line ${lineNumber} is ${data.length} bytes long, more than the 1 MiB that a record of Kinesis holds`,
      where: `stream "${this.flags.stream}"`,
      todo: 'Check that the input is text in lines.',
    })
  }

  /** Lines of one key in as few records as may be; without keys, of all lines. */
  #aggregated(records: readonly OutgoingRecord[]): readonly OutgoingRecord[] {
    const [anyKey] = records
    const byKey = new Map<string, Uint8Array[]>()
    for (const { data, partitionKey } of records) {
      const key = this.#key.ordered ? partitionKey : anyKey.partitionKey
      const packed = byKey.get(key)
      if (packed === undefined) byKey.set(key, [data])
      else packed.push(data)
    }
    return [...byKey].flatMap(([key, all]) =>
      inPieces(all).map((data) => ({ partitionKey: key, data: data.length === 1 ? data[0] : aggregateRecords(key, data) })),
    )
  }
}

/** A piece is larger than it may be only where it is a single line. */
function inPieces(all: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  const pieces: Uint8Array[][] = []
  let room = 0
  for (const data of all) {
    if (room < data.length) {
      pieces.push([])
      room = AGGREGATE_BYTES
    }
    pieces.at(-1)?.push(data)
    room -= data.length
  }
  return pieces
}
