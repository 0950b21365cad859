import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isAbsolute } from 'node:path'
import { MillraceError } from '../runtime/core/index.js'
import type { JobHandle, JobResult, JobStatus, MetricsSnapshot } from '../runtime/local/run-options.js'
import { isLive } from './control-client.js'
import { claimControlFile, releaseControlFile } from './control-file.js'

/** Answers of the routes. */
export interface JobAnswer {
  readonly job: string
  readonly pid: number
  readonly status: JobStatus
}
export interface EndAnswer {
  readonly status: JobResult['status']
  readonly durationMs: number
  readonly savepoint: string | null
  /** Path of the last checkpoint, which `--from latest` goes on from. */
  readonly lastCheckpoint: string | null
}
export interface SavepointAnswer {
  readonly path: string
}

export interface ControlServer {
  /** From here on the job can be controlled. */
  attach(handle: JobHandle): void
  /** Answers what is under way, closes the port and removes the file. */
  close(): Promise<void>
}

/**
 * Opens the control of a job: HTTP on 127.0.0.1 at a port the system chooses, with a random token, both in the file `path`.
 * Started before the job so that two runs never share a checkpoint folder; throws CHECKPOINT_DIR_IN_USE when one lives there already.
 *
 * `GET /job`, `GET /metrics`, `POST /savepoint {directory}`, `POST /stop {drain, savepointDir}`, `POST /cancel`; paths are absolute.
 */
export async function openControlServer(path: string, job: string): Promise<ControlServer> {
  const token = randomBytes(24).toString('hex')
  let handle: JobHandle | undefined
  const server = createServer((request, response) => {
    answer(request, token, job, handle).then(
      (value) => reply(response, 200, value),
      (thrown: unknown) => reply(response, thrown instanceof Refusal ? thrown.status : 500, { error: plainError(thrown) }),
    )
  })
  await listen(server)
  const { port } = server.address() as AddressInfo
  try {
    await claimControlFile(path, { pid: process.pid, url: `http://127.0.0.1:${port}`, token, job }, isLive)
  } catch (thrown) {
    server.close()
    throw thrown
  }
  return {
    attach(running) {
      handle = running
    },
    async close() {
      await releaseControlFile(path, token)
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

async function answer(request: IncomingMessage, token: string, job: string, handle: JobHandle | undefined): Promise<unknown> {
  if (!isAuthorised(request, token)) throw new Refusal(401, 'The token is not this job’s')
  const route = `${request.method} ${request.url}`
  if (route === 'GET /job') return { job, pid: process.pid, status: handle?.status ?? 'starting' } satisfies JobAnswer
  if (handle === undefined) throw new Refusal(NOT_YET, 'The job is still starting; try again')
  switch (route) {
    case 'GET /metrics':
      return handle.metrics() satisfies Promise<MetricsSnapshot>
    case 'POST /savepoint': {
      const { directory } = await readBody(request)
      return { path: await handle.savepoint(absolute(directory, 'directory')) } satisfies SavepointAnswer
    }
    case 'POST /stop': {
      const { drain, savepointDir } = await readBody(request)
      const options = savepointDir === undefined ? {} : { savepointDir: absolute(savepointDir, 'savepointDir') }
      return ended(await handle.stop({ ...options, drain: drain === true }))
    }
    case 'POST /cancel':
      return ended(await handle.cancel())
    default:
      throw new Refusal(404, `There is no ${route}`)
  }
}

function ended(result: JobResult): EndAnswer {
  const { status, durationMs, savepoint, metrics } = result
  return { status, durationMs, savepoint: savepoint ?? null, lastCheckpoint: metrics.lastCheckpoint?.path ?? null }
}

/** Nothing is wrong with the request, but for its time. */
const NOT_YET = 409

/** A request that is not for the job to answer. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

function plainError(thrown: unknown): ReturnType<MillraceError['toPlain']> {
  if (thrown instanceof Refusal) {
    const code = thrown.status === NOT_YET ? 'CONTROL_REFUSED' : 'OPTION_INVALID'
    return new MillraceError(code, { what: thrown.message, where: 'control of a running job' }).toPlain()
  }
  return MillraceError.from(thrown, 'ASSERTION', { what: 'The job could not do what was asked' }).toPlain()
}

function isAuthorised(request: IncomingMessage, token: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? '')
  const wanted = Buffer.from(`Bearer ${token}`)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

function absolute(value: unknown, name: string): string {
  if (typeof value !== 'string' || !isAbsolute(value)) throw new Refusal(400, `${name} must be an absolute path`)
  return value
}

const MOST_BODY_BYTES = 65_536

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = ''
  for await (const chunk of request) {
    text += String(chunk)
    if (text.length > MOST_BODY_BYTES) throw new Refusal(413, 'The request is too long')
  }
  try {
    const value: unknown = text === '' ? {} : JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Refused below, like JSON that is not an object.
  }
  throw new Refusal(400, 'The request is not a JSON object')
}

function reply(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(value))
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
}
