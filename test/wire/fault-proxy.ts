import { createServer, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export interface WireRequest {
  /** Of DynamoDB and Kinesis the operation's name, of S3 the method. */
  readonly operation: string
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface WireAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** The connection breaks behind so many bytes of the body. */
  readonly cutAt?: number
  /** Behind so many bytes of the body nothing follows. */
  readonly stallAt?: number
}

/** `cut`: the connection breaks without an answer. `silence`: none comes. */
export type Interception = WireAnswer | 'cut' | 'silence'

export type Intercept = (request: WireRequest, forward: (request: WireRequest) => Promise<WireAnswer>) => Interception | Promise<Interception>

const PASS: Intercept = (request, forward) => forward(request)

/** Stands between a client and a server of HTTP/1.1, and does to their traffic what a test wants. */
export class FaultProxy {
  /** What came, in order. */
  readonly requests: WireRequest[] = []
  intercept: Intercept = PASS
  readonly #sockets = new Set<Socket>()

  private constructor(
    readonly target: URL,
    readonly server: Server,
  ) {
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    server.on('request', (request, response) => void this.#serve(request, response).catch(() => response.destroy()))
  }

  static async open(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(new URL(target), createServer())
    await new Promise<void>((resolve) => proxy.server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  /** How many requests of this operation came. */
  count(operation: string): number {
    return this.requests.filter((request) => request.operation === operation).length
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.server.close(resolve))
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = incoming
    const operation = String(headers['x-amz-target'] ?? `.${method}`)
      .split('.')
      .at(-1) as string
    const request: WireRequest = { operation, method, path: url, headers, body: await bytesOf(incoming) }
    this.requests.push(request)
    const answer = await this.intercept(request, (forwarded) => this.#forward(forwarded))
    if (answer === 'silence') return
    if (answer === 'cut') {
      response.destroy()
      return
    }
    const { 'transfer-encoding': _, connection: __, ...rest } = answer.headers
    response.writeHead(answer.status, { ...rest, ...(method === 'HEAD' ? {} : { 'content-length': String(answer.body.length) }) })
    if (answer.stallAt !== undefined) response.write(answer.body.subarray(0, answer.stallAt))
    else if (answer.cutAt === undefined) response.end(answer.body)
    else response.write(answer.body.subarray(0, answer.cutAt), () => response.destroy())
  }

  #forward({ method, path, headers, body }: WireRequest): Promise<WireAnswer> {
    return new Promise((resolve, reject) => {
      const { 'transfer-encoding': _, ...rest } = headers
      const { hostname, port } = this.target
      const outgoing = httpRequest({ hostname, port, method, path, headers: { ...rest, 'content-length': String(body.length) } }, (incoming) => {
        const answer = bytesOf(incoming).then((bytes) => ({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: bytes }))
        answer.then(resolve, reject)
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** An error as DynamoDB, Kinesis and SQS say it. */
export function jsonError(status: number, name: string): WireAnswer {
  const body = Buffer.from(JSON.stringify({ __type: name, message: `${name}, said the test` }))
  return { status, headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-errortype': name }, body }
}

/** An error as S3 says it. */
export function xmlError(status: number, code: string): WireAnswer {
  const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>said the test</Message></Error>`)
  return { status, headers: { 'content-type': 'application/xml' }, body }
}

/** Answers the first requests of an operation otherwise, one by one; all others pass. */
export function firstOf(operation: string, ...instead: readonly Intercept[]): Intercept {
  const left = [...instead]
  return (request, forward) => ((request.operation === operation ? left.shift() : undefined) ?? PASS)(request, forward)
}
