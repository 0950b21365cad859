import { statSync } from 'node:fs'
import { join, parse } from 'node:path'
import { type DataStream, fileSink, printSink, type SinkFormat, type StreamExecutionEnvironment } from 'millrace'

/**
 * Where an example's results go: with `--output PATH` to a file, or to a folder of part files when PATH ends with a separator or is
 * a folder already, in place of what an earlier run wrote there; printed without it.
 */
export function resultsOut<T>(stream: DataStream<T>, env: StreamExecutionEnvironment, format: SinkFormat<T>): void {
  const path = env.parameters.get('output')
  if (path === undefined) stream.print()
  else resultsTo(stream, path, format)
}

/** The same for a side output: `x.NAME.txt` beside `x.txt`, a folder NAME in the folder, or printed with `NAME> ` before it. */
export function sideResultsOut<T>(stream: DataStream<T>, env: StreamExecutionEnvironment, format: SinkFormat<T>, name: string): void {
  const path = env.parameters.get('output')
  if (path === undefined) stream.print(name)
  else resultsTo(stream, isFolder(path) ? join(path, name, '/') : besideName(path, name), format)
}

/** One line for each element, to the file or folder `path`. */
export function resultsTo<T>(stream: DataStream<T>, path: string, format: SinkFormat<T>): void {
  if (isFolder(path)) stream.sinkTo(fileSink({ path, format, overwrite: true }))
  else stream.sinkTo(fileSink({ path, format, layout: 'file', overwrite: true })).setParallelism(1)
}

export function resultsToStderr<T>(stream: DataStream<T>): void {
  stream.sinkTo(printSink({ stderr: true }))
}

function isFolder(path: string): boolean {
  return /[\\/]$/.test(path) || statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

function besideName(path: string, name: string): string {
  const { dir, name: base, ext } = parse(path)
  return join(dir, `${base}.${name}${ext}`)
}
