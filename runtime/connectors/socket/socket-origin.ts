import { connect, type Socket } from 'node:net'
import { MillraceError } from '../../core/index.js'
import type { PushOrigin, PushSink } from '../base/push-reader.js'
import { TextSplitter } from '../base/text-splitter.js'
import type { SocketTextSourceOptions } from './socket-text-source.js'

/** A record this long without a delimiter, in characters, means that the delimiter is wrong. */
const LONGEST_RECORD = 64 << 20

/** Connects, and connects again while retries are left. */
export class SocketOrigin implements PushOrigin<string> {
  readonly #options: Required<SocketTextSourceOptions>
  #sink: PushSink<string> | undefined
  #socket: Socket | undefined
  #retries = 0
  #timer: NodeJS.Timeout | undefined
  #paused = false

  constructor(options: Required<SocketTextSourceOptions>) {
    this.#options = options
  }

  open(sink: PushSink<string>): void {
    this.#sink = sink
    this.#connect(sink)
  }

  pause(): void {
    this.#paused = true
    this.#socket?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#socket?.resume()
  }

  close(): void {
    this.#sink = undefined
    clearTimeout(this.#timer)
    this.#socket?.destroy()
  }

  #connect(sink: PushSink<string>): void {
    const { host, port, delimiter } = this.#options
    const splitter = new TextSplitter(delimiter)
    let failure: Error | undefined
    const socket = connect({ host, port })
    this.#socket = socket
    if (this.#paused) socket.pause()
    socket.on('data', (chunk) => {
      this.#retries = 0
      sink.push(splitter.push(chunk as Buffer), chunk.length)
      if (splitter.restLength > LONGEST_RECORD) socket.destroy(new Error(`no delimiter in ${LONGEST_RECORD} characters`))
    })
    socket.on('error', (error) => {
      failure = error
    })
    socket.on('close', () => {
      if (this.#sink === undefined) return
      const last = failure === undefined ? splitter.end() : undefined
      if (last !== undefined) sink.push([last], last.length)
      this.#afterClose(sink, failure)
    })
  }

  #afterClose(sink: PushSink<string>, failure: Error | undefined): void {
    const { maxRetries, retryDelayMs } = this.#options
    if (maxRetries === -1 || this.#retries < maxRetries) {
      this.#retries += 1
      this.#timer = setTimeout(() => this.#connect(sink), retryDelayMs)
    } else if (failure === undefined) {
      sink.end()
    } else {
      sink.fail(this.#failed(failure))
    }
  }

  #failed(cause: Error): MillraceError {
    const { host, port } = this.#options
    const refused = (cause as NodeJS.ErrnoException).code === 'ECONNREFUSED'
    const what = refused ? 'the connection was refused' : 'the connection failed'
    const todo = `Check that a server listens there${refused ? ` (to try it out: nc -lk ${port})` : ''}, or set maxRetries and retryDelayMs.`
    return new MillraceError('SOURCE_FAILED', { what, where: `${host}:${port}`, todo, cause })
  }
}
