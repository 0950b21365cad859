import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { LambdaClient } from '@aws-sdk/client-lambda'
import { awsClients } from '../runtime/backends/aws/index.js'
import type { PollerFaults } from './followed-mapping.js'
import { Poller } from './poller.js'
import { PositionFile } from './position-file.js'

// The poller as a process: GET / tells how mappings are, PUT /faults takes what is to go wrong from now on. It says `listening PORT` when it is there,
// and ends with SIGTERM, or with its standard input if it is told to.

const LONGEST_INVOCATION_MS = 16 * 60_000

const { values } = parseArgs({
  options: {
    positions: { type: 'string' },
    'poll-ms': { type: 'string', default: '250' },
    faults: { type: 'string', default: '{}' },
    'end-with-input': { type: 'boolean', default: false },
  },
})

const lambda = new LambdaClient({
  // Tried again by the mapping, which knows what comes after it.
  maxAttempts: 1,
  requestHandler: { requestTimeout: LONGEST_INVOCATION_MS, httpAgent: { maxSockets: 1_000 } },
})
const log = (line: string) => console.log(`${new Date().toISOString()} ${line}`)
const surroundings = { kinesis: awsClients().kinesis, lambda, pollMs: Number(values['poll-ms']), log }
const poller = new Poller(surroundings, new PositionFile(values.positions))
poller.setFaults(JSON.parse(values.faults) as Partial<PollerFaults>)
poller.start()

const server = createServer(async (request, response) => {
  try {
    if (request.method === 'PUT' && request.url === '/faults') poller.setFaults(JSON.parse(await bodyOf(request)) as Partial<PollerFaults>)
    response.setHeader('content-type', 'application/json').end(JSON.stringify(poller.status))
  } catch (error) {
    response.writeHead(400).end(error instanceof Error ? error.message : String(error))
  }
})
server.listen(0, '127.0.0.1', () => console.log(`listening ${(server.address() as AddressInfo).port}`))

async function end(): Promise<void> {
  await poller.stop()
  process.exit()
}
process.once('SIGTERM', end).once('SIGINT', end)
if (values['end-with-input']) process.stdin.resume().once('end', end).once('error', end)

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
