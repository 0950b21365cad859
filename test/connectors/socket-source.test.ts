import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { socketTextSource } from '../../runtime/connectors/index.js'
import { SourceHarness } from '../../runtime/testing/index.js'

const servers: Server[] = []
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))))
})

function serve(onConnection: (socket: Socket, nth: number) => void, port = 0): Promise<number> {
  let connections = 0
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    connections += 1
    onConnection(socket, connections)
  })
  servers.push(server)
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

const start = (port: number, options: object = {}, parallelism = 1) =>
  SourceHarness.start(socketTextSource({ host: '127.0.0.1', port, ...options }), { parallelism })

async function unusedPort(): Promise<number> {
  const port = await serve(() => {})
  await new Promise((resolve) => servers.pop()?.close(resolve))
  return port
}

describe('socketTextSource', () => {
  it('gives lines until the server closes, the last one without delimiter too; one subtask reads', async () => {
    const port = await serve((socket) => socket.end('eins\r\nzwei ä\n\ndrei'))
    const harness = await start(port, {}, 3)
    expect(await harness.drain()).toEqual(['eins', 'zwei ä', '', 'drei'])
    expect(harness.releasedSplits).toEqual(['socket'])
  })

  it('keeps UTF-8 and a long delimiter whole across chunks', async () => {
    const port = await serve(async (socket) => {
      socket.setNoDelay(true)
      for (const byte of Buffer.from('ä€||ö|x||')) {
        socket.write(Buffer.of(byte))
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      socket.end()
    })
    expect(await (await start(port, { delimiter: '||' })).drain()).toEqual(['ä€', 'ö|x'])
  })

  it('fails with host, port and a hint when nobody listens', async () => {
    const port = await unusedPort()
    await expect((await start(port)).drain()).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringMatching(new RegExp(`refused[\\s\\S]*127\\.0\\.0\\.1:${port}[\\s\\S]*nc -lk ${port}`)),
    })
  })

  it('fails when the connection is reset; what had arrived is given first', async () => {
    const port = await serve((socket) => socket.write('a\nb', () => setTimeout(() => socket.resetAndDestroy(), 30)))
    const harness = await start(port)
    await expect(harness.drain()).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
    expect(harness.values).toEqual(['a'])
  })

  it('connects again while retries are left, and data starts the count anew', async () => {
    const port = await serve((socket, nth) => (nth === 3 ? socket.resetAndDestroy() : nth <= 4 ? socket.end(`${nth}\n`) : socket.end()))
    const harness = await start(port, { maxRetries: 2, retryDelayMs: 5 })
    expect(await harness.drain()).toEqual(['1', '2', '4'])
  })

  it('waits for a server that starts later', async () => {
    const port = await unusedPort()
    const harness = await start(port, { maxRetries: -1, retryDelayMs: 10 })
    setTimeout(() => serve((socket) => socket.write('there\n'), port), 50)
    expect(await harness.take(1)).toEqual(['there'])
    await harness.close()
  })

  it('holds the server back while records wait', async () => {
    let sent = 0
    const port = await serve((socket) => {
      const line = Buffer.from(`${'x'.repeat(1023)}\n`.repeat(256))
      const write = () => {
        while (sent < 200) {
          sent += 1
          if (socket.write(line)) continue
          socket.once('drain', write)
          return
        }
        socket.end()
      }
      write()
    })
    const harness = await start(port)
    harness.poll()
    await new Promise((resolve) => setTimeout(resolve, 300))
    // 50 MiB in all; what the reader holds (4 MiB) and the system's buffers is all that may have left the server.
    expect(sent).toBeLessThan(150)
    const all = await harness.drain()
    expect(all.length).toBe(200 * 256)
  })

  it('stops connecting once closed', async () => {
    const port = await unusedPort()
    const harness = await start(port, { maxRetries: -1, retryDelayMs: 10 })
    await harness.close()
    let connections = 0
    await serve(() => {
      connections += 1
    }, port)
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(connections).toBe(0)
  })

  it('refuses options that mean nothing', () => {
    for (const options of [{ port: 0 }, { host: '' }, { delimiter: '' }, { maxRetries: -2 }, { retryDelayMs: -1 }]) {
      expect(() => socketTextSource({ host: 'localhost', port: 9999, ...options })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    }
  })
})
