import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { mockClient } from 'aws-sdk-client-mock'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type PipeFlags, pipeCommand } from '../../cli/pipe-command.js'
import { linesOf, openInput } from '../../cli/pipe-input.js'
import { partitionKey } from '../../cli/pipe-keys.js'
import { deaggregate } from '../../runtime/connectors/kinesis/aggregated-record.js'
import { tempFolder } from '../backends/temp-folder.js'
import { until } from '../local/run-job.js'

process.env.AWS_REGION = 'eu-central-1'

const kinesis = mockClient(KinesisClient)
let taken: { readonly key: string; readonly data: Uint8Array }[]
let requests: number
let said: string
let folder: string
/** Resolves before a request is answered. */
let answering: Promise<void>

beforeEach(async () => {
  taken = []
  requests = 0
  said = ''
  answering = Promise.resolve()
  folder = await tempFolder()
  let refused = false
  kinesis.on(PutRecordsCommand).callsFake(async ({ Records }) => {
    requests++
    await answering
    return {
      Records: Records.map(({ PartitionKey, Data }: { PartitionKey: string; Data: Uint8Array }) => {
        // One is refused, once.
        if (!refused && new TextDecoder().decode(Data) === 'refuse me') {
          refused = true
          return { ErrorCode: 'ProvisionedThroughputExceededException' }
        }
        taken.push({ key: PartitionKey, data: Data })
        return { SequenceNumber: '1' }
      }),
    }
  })
})
afterEach(() => kinesis.reset())

const texts = () => taken.map(({ data }) => new TextDecoder().decode(data))
const stderr = {
  write: (text: string) => {
    said += text
    return true
  },
}

async function pipe(flags: Partial<PipeFlags>, stdin: Readable = Readable.from([])): Promise<number> {
  return pipeCommand({ stream: 'lines', ...flags }, { stdin, stderr })
}

async function fileOf(text: string): Promise<string> {
  const file = join(folder, 'lines.txt')
  await writeFile(file, text)
  return file
}

describe('millrace pipe', () => {
  it('sends the lines of a file, without their ends, the last one also without an end', async () => {
    const file = await fileOf('one\r\ntwo\n\nrefuse me\nlast')
    expect(await pipe({ file })).toBe(0)
    expect(texts().sort()).toEqual(['', 'last', 'one', 'refuse me', 'two'])
    expect(new Set(taken.map(({ key }) => key)).size).toBe(5)
    expect(said).toBe('millrace: 5 lines (19 bytes) into lines, 1 records put again\n')
  })

  it('keeps the lines of a key in order, also behind one that is refused', async () => {
    const lines = Array.from({ length: 40 }, (_, i) => (i === 5 ? 'refuse me' : `k${i % 3} ${i}`))
    await pipe({ file: await fileOf(lines.join('\n')), partitionKey: partitionKey('constant:all'), quiet: true })
    expect(texts()).toEqual(lines)
    expect(said).toBe('')
  })

  it('finds keys in lines', async () => {
    const keyOf = (form: string, line: string) => partitionKey(form).of(line, 1)
    expect(keyOf('field:2', '  a  b c')).toBe('b')
    expect(keyOf('field:4', 'a b c')).toBeUndefined()
    expect(keyOf('json:user', '{"user":7}')).toBe('7')
    for (const line of ['{"user":{}}', '{}', 'null', '{', '{"user":""}']) expect(keyOf('json:user', line)).toBeUndefined()
    expect(keyOf('line', 'x'.repeat(300))).toBe('x'.repeat(256))
    expect(keyOf('line', '')).toBeUndefined()
    await pipe({ file: await fileOf('a 1\n\nb 2'), partitionKey: partitionKey('field:1') })
    expect(taken.map(({ key }) => key).sort()).toEqual(['a', 'b', 'line 2'])
    for (const form of ['', 'random:1', 'field', 'field:0', 'field:x', 'json:', 'constant', `constant:${'k'.repeat(257)}`, 'other:1'])
      expect(() => partitionKey(form)).toThrow(/constant:KEY/)
  })

  it('aggregates in order, into few records', async () => {
    const lines = Array.from({ length: 5_000 }, (_, i) => `line ${i} ${'x'.repeat(100)}`)
    await pipe({ file: await fileOf(lines.join('\n')), aggregate: true, partitionKey: partitionKey('constant:all') })
    const unpacked = taken.flatMap(({ data }) => deaggregate(data)?.map((record) => record.data) ?? [data])
    expect(unpacked.map((data) => new TextDecoder().decode(data))).toEqual(lines)
    expect(taken.length).toBeLessThan(20)
    expect(Math.max(...taken.map(({ data }) => data.length))).toBeLessThan(300 * 1024)
  })

  it('reads a socket until it is closed', async () => {
    const server = createServer((socket) => socket.end('a\nb\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { readonly port: number }
    try {
      expect(await pipe({ socket: `127.0.0.1:${port}` })).toBe(0)
      expect(texts().sort()).toEqual(['a', 'b'])
    } finally {
      server.close()
    }
  })

  it('on SIGINT sends what has been read and says so', async () => {
    let answer: () => void = () => {}
    answering = new Promise((resolve) => {
      answer = resolve
    })
    const stdin = new PassThrough()
    const piping = pipe({ stdin: true }, stdin)
    stdin.write('a\nb\nhalf')
    await until(() => requests === 1)
    process.emit('SIGINT', 'SIGINT')
    answer()
    expect(await piping).toBe(130)
    expect(texts().sort()).toEqual(['a', 'b'])
    expect(said).toContain('SIGINT: sending what has been read')
    expect(said).toContain('2 lines')
  })

  it('holds back who writes while a request is on its way', async () => {
    let answer: () => void = () => {}
    answering = new Promise((resolve) => {
      answer = resolve
    })
    let made = 0
    const stdin = Readable.from(
      (function* () {
        for (; made < 1_000; made++) yield Buffer.from(`line ${made}\n`)
      })(),
    )
    const piping = pipe({ stdin: true }, stdin)
    await until(() => requests === 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(made).toBeLessThan(50)
    answer()
    expect(await piping).toBe(0)
    expect(taken.length).toBe(1_000)
  })

  it('sends so many lines a second at most', async () => {
    const startedAt = performance.now()
    await pipe({ file: await fileOf(Array.from({ length: 60 }, (_, i) => `l${i}`).join('\n')), rate: 100 })
    expect(performance.now() - startedAt).toBeGreaterThan(500)
    // Ten at a time; the last line has no end.
    expect(requests).toBe(7)
    expect(taken.length).toBe(60)
  })

  it('fails with what is wrong', async () => {
    await expect(pipe({})).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    await expect(pipe({ stdin: true, file: 'x' })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    for (const socket of ['nowhere', 'h:0', 'h:65536']) await expect(pipe({ socket })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    await expect(pipe({ file: join(folder, 'absent') })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(pipe({ file: folder })).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
    await expect(pipe({ file: await fileOf(`a\n${'x'.repeat(1024 * 1024)}`), quiet: true })).rejects.toThrow(
      /RECORD_UNSERIALISABLE: line 2 is 1048576 bytes long/,
    )
    expect(said).toContain('stopped after 1 lines')
    kinesis.on(PutRecordsCommand).rejects(Object.assign(new Error('x'), { name: 'ResourceNotFoundException' }))
    await expect(pipe({ file: await fileOf('a') })).rejects.toMatchObject({ code: 'AWS_CALL' })
  })

  it('tells of an input that had failed before anybody read it', async () => {
    const input = openInput({ file: join(folder, 'absent') }, new PassThrough())
    await until(() => input.errored !== null)
    await expect(linesOf(input, new Promise(() => {})).next()).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })
})
