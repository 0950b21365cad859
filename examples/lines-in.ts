import {
  type DataStream,
  type FileFormat,
  fileSource,
  kinesisSource,
  lines,
  MillraceError,
  type Source,
  type SourceSplit,
  type StreamExecutionEnvironment,
  socketTextSource,
  stdinSource,
  utf8Line,
  WatermarkStrategy,
} from 'millrace'
import { shippedFile } from './shipped-file.js'

export interface NumberedLine {
  readonly line: string
  /** Counted from 1 in its file; 0 where lines come without a file. */
  readonly lineNumber: number
}

const CHOICES = ['input', 'follow', 'socket', 'stdin', 'kinesis'] as const

/**
 * The lines that an example reads, in their order: of `--input FILE`, `--follow FILE`, `--socket HOST:PORT`, `--stdin` or, deployed on AWS,
 * `--kinesis STREAM`; without any of them of the file `shipped` beside the example. Throws OPTION_INVALID for more than one of them.
 */
export function linesIn(env: StreamExecutionEnvironment, moduleUrl: string, shipped: string): DataStream<string> {
  const live = liveSource(env)
  if (live !== undefined) return live
  return readInOrder(env, fileSource({ ...fileOf(env, moduleUrl, shipped), format: lines() }))
}

/** The same with the number of each line. */
export function numberedLinesIn(env: StreamExecutionEnvironment, moduleUrl: string, shipped: string): DataStream<NumberedLine> {
  const live = liveSource(env)
  if (live !== undefined) return live.map((line) => ({ line, lineNumber: 0 })).setParallelism(1)
  const format: FileFormat<NumberedLine> = lines({ withPosition: true })
  return readInOrder(env, fileSource({ ...fileOf(env, moduleUrl, shipped), format }))
}

/** Whether lines come as someone or something sends them, so that the time of a line is the clock's. */
export function isLive(env: StreamExecutionEnvironment): boolean {
  return env.parameters.has('socket') || env.parameters.getBoolean('stdin')
}

function liveSource(env: StreamExecutionEnvironment): DataStream<string> | undefined {
  const { parameters } = env
  const given = CHOICES.filter((name) => (name === 'stdin' ? parameters.getBoolean(name) : parameters.has(name)))
  if (given.length > 1) {
    throw new MillraceError('OPTION_INVALID', {
      what: `--${given[0]} and --${given[1]} cannot be used together`,
      todo: 'Give one place to read lines from.',
    })
  }
  if (given[0] === 'stdin') return readInOrder(env, stdinSource())
  if (given[0] === 'socket') return readInOrder(env, socketTextSource(hostAndPort(parameters.getRequired('socket'))))
  if (given[0] === 'kinesis') return readInOrder(env, kinesisSource({ stream: parameters.getRequired('kinesis'), deserialize: utf8Line }))
  return undefined
}

function readInOrder<T, Split extends SourceSplit, State>(env: StreamExecutionEnvironment, source: Source<T, Split, State>): DataStream<T> {
  return env.fromSource(source, WatermarkStrategy.noWatermarks()).uid('lines').setParallelism(1)
}

function fileOf(env: StreamExecutionEnvironment, moduleUrl: string, shipped: string): { path: string; follow: boolean } {
  const follow = env.parameters.has('follow')
  const name = follow ? 'follow' : 'input'
  if (!env.parameters.has(name)) return { path: shippedFile(moduleUrl, shipped), follow }
  const path = env.parameters.getRequired(name)
  if (path === '') throw new MillraceError('OPTION_INVALID', { what: `--${name} is empty`, todo: 'Name the file to read.' })
  return { path, follow }
}

/** `localhost:9999`, or `[::1]:9999`. */
function hostAndPort(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  if (match !== null) return { host: match[1] ?? match[2], port: Number(match[3]) }
  throw new MillraceError('OPTION_INVALID', { what: `--socket is "${text}"`, todo: 'Give host and port: --socket localhost:9999.' })
}
