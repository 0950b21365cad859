import { createReadStream } from 'node:fs'
import { connect } from 'node:net'
import type { Readable } from 'node:stream'
import { TextSplitter } from '../runtime/connectors/base/text-splitter.js'
import { MillraceError } from '../runtime/core/index.js'

/** Beyond it the input is no text in lines. */
const LONGEST_LINE = 16 * 1024 * 1024

/** Where `millrace pipe` reads lines: one of the three. */
export interface PipeInputFlags {
  readonly file?: string
  readonly socket?: string
  readonly stdin?: boolean
}

/** Throws OPTION_INVALID unless exactly one place is named. */
export function openInput({ file, socket, stdin }: PipeInputFlags, standardInput: Readable): Readable {
  const given = [file, socket, stdin === true ? '' : undefined].filter((place) => place !== undefined)
  if (given.length !== 1) {
    throw new MillraceError('OPTION_INVALID', {
      what: given.length === 0 ? 'nothing is said of where lines come from' : 'lines can come from one place only',
      todo: 'Give one of --file FILE, --socket HOST:PORT and --stdin.',
    })
  }
  const input: Readable = file !== undefined ? createReadStream(file) : socket === undefined ? standardInput : connect(hostAndPort(socket))
  // It may fail before somebody reads, who then is told.
  input.on('error', () => {})
  return input
}

/** `localhost:9999`, or `[::1]:9999`. */
function hostAndPort(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match !== null && port >= 1 && port <= 65_535) return { host: match[1] ?? match[2], port }
  throw new MillraceError('OPTION_INVALID', { what: `--socket is "${text}"`, todo: 'Give host and port: --socket localhost:9999.' })
}

/**
 * The lines of UTF-8 text as they arrive, without their ends; what stands behind the last end is a line, too, if the input ends there. Ends early when
 * `stopped` resolves. Nothing is read ahead of who takes them. Throws SOURCE_FAILED, FILE_NOT_FOUND.
 */
export async function* linesOf(input: Readable, stopped: Promise<void>): AsyncGenerator<readonly string[]> {
  const splitter = new TextSplitter('\n')
  const chunks = input[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await Promise.race([chunks.next(), stopped])
      if (next === undefined) return
      if (next.done === true) break
      const lines = splitter.push(next.value as Buffer)
      if (splitter.restLength > LONGEST_LINE) throw new Error(`there is no line end in ${splitter.restLength} characters`)
      if (lines.length > 0) yield lines
    }
  } catch (cause) {
    throw inputFailed(cause)
  } finally {
    input.destroy()
  }
  const rest = splitter.end()
  if (rest !== undefined) yield [rest]
}

function inputFailed(cause: unknown): MillraceError {
  const { code, path, message } = cause as { readonly code?: unknown; readonly path?: string; readonly message?: string }
  if (code === 'ENOENT')
    return new MillraceError('FILE_NOT_FOUND', { what: 'the file does not exist', where: path ?? '', todo: 'Check the path.', cause })
  return new MillraceError('SOURCE_FAILED', { what: `reading failed: ${message}`, todo: 'Check that the file or the socket can be read.', cause })
}
