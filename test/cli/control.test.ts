import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { callControl, callJobAt } from '../../cli/control-client.js'
import { cancelCommand, savepointCommand, statusCommand, stopCommand } from '../../cli/control-commands.js'
import type { ControlFile } from '../../cli/control-file.js'
import { type ControlServer, openControlServer } from '../../cli/control-server.js'
import { MillraceError } from '../../runtime/core/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { FakeHandle } from './fake-handle.js'

let dir: string
let path: string
let open: { close(): Promise<void> }[]

beforeEach(async () => {
  dir = await tempFolder()
  path = join(dir, 'control.json')
  open = []
})
afterEach(async () => {
  for (const server of open) await server.close()
})

async function start(handle?: FakeHandle): Promise<ControlServer> {
  const server = await openControlServer(path, 'bids')
  open.push(server)
  if (handle !== undefined) server.attach(handle)
  return server
}

async function controlFile(): Promise<ControlFile> {
  return JSON.parse(await readFile(path, 'utf8')) as ControlFile
}

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return child.pid as number
}

describe('control server', () => {
  it('answers for the job and passes on what it is told', async () => {
    const handle = new FakeHandle()
    const server = await start(handle)
    expect(await callJobAt(dir, 'GET', '/job')).toEqual({ job: 'bids', pid: process.pid, status: 'running' })
    expect(await callJobAt(path, 'GET', '/metrics')).toMatchObject({ recordsIn: 42 })
    const directory = join(dir, 'sp')
    expect(await callJobAt(dir, 'POST', '/savepoint', { directory })).toEqual({ path: `${directory}/savepoint-1` })
    expect(await callJobAt(dir, 'POST', '/stop', { drain: true, savepointDir: directory })).toEqual({
      status: 'finished',
      durationMs: 1500,
      savepoint: null,
      lastCheckpoint: '/ck/chk-3',
    })
    expect(handle.calls).toEqual([
      ['savepoint', directory],
      ['stop', { savepointDir: directory, drain: true }],
    ])
    await server.close()
    expect(existsSync(path)).toBe(false)
    open = []
  })

  it.skipIf(process.platform === 'win32')('lets only the owner read the token', async () => {
    await start(new FakeHandle())
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('refuses a wrong token, a wrong route and wrong arguments, and touches the job with none of them', async () => {
    const handle = new FakeHandle()
    await start(handle)
    const control = await controlFile()
    await expect(callControl({ ...control, token: 'f'.repeat(48) }, 'POST', '/cancel')).rejects.toThrow(/token/)
    await expect(callControl(control, 'GET', '/cancel')).rejects.toThrow(/There is no GET \/cancel/)
    await expect(callControl(control, 'POST', '/savepoint', { directory: 'relative' })).rejects.toThrow(/absolute/)
    await expect(callControl(control, 'POST', '/savepoint', {})).rejects.toThrow(/absolute/)
    await expect(callControl(control, 'POST', '/stop', [1].toString().repeat(70_000))).rejects.toThrow(/too long|ECONNRESET|EPIPE/)
    await expect(callControl(control, 'POST', '/stop', 'text')).rejects.toThrow(/JSON object/)
    expect(handle.calls).toEqual([])
  })

  it('says that a job which still starts cannot be told yet', async () => {
    await start()
    expect(await callJobAt(dir, 'GET', '/job')).toMatchObject({ status: 'starting' })
    await expect(callJobAt(dir, 'POST', '/cancel')).rejects.toThrow(/^CONTROL_REFUSED: .*still starting/)
  })

  it("brings the job's own error to the caller", async () => {
    const handle = new FakeHandle()
    handle.failure = new MillraceError('CHECKPOINT_FAILED', { what: 'The disk is full', todo: 'Make room.' })
    await start(handle)
    await expect(callJobAt(dir, 'POST', '/savepoint', { directory: dir })).rejects.toMatchObject({
      code: 'CHECKPOINT_FAILED',
      detail: { todo: 'Make room.' },
    })
  })
})

describe('control file', () => {
  it('keeps a second run out of the folder, and lets it in after the first has ended', async () => {
    const first = await start(new FakeHandle())
    await expect(openControlServer(path, 'other')).rejects.toMatchObject({ code: 'CHECKPOINT_DIR_IN_USE' })
    expect(await callJobAt(dir, 'GET', '/job')).toMatchObject({ job: 'bids' })
    await first.close()
    open = []
    await start()
  })

  it('lets exactly one of several runs in that start together over a stale file', async () => {
    await writeFile(path, JSON.stringify({ pid: await deadPid(), url: 'http://127.0.0.1:9', token: 'old', job: 'old' }))
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => openControlServer(path, 'bids')))
    const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    open.push(...won)
    expect(won.length).toBe(1)
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'CHECKPOINT_DIR_IN_USE' })
    expect(await readdir(dir)).toEqual(['control.json'])
  })

  it('replaces the file of a killed run', async () => {
    await writeFile(path, JSON.stringify({ pid: await deadPid(), url: 'http://127.0.0.1:9', token: 'old', job: 'old' }))
    await expect(callJobAt(dir, 'GET', '/job')).rejects.toMatchObject({ code: 'CONTROL_UNREACHABLE' })
    await start(new FakeHandle())
    expect(await callJobAt(dir, 'GET', '/job')).toMatchObject({ job: 'bids' })
  })

  it('replaces the file when the process id now belongs to another program, even if its port answers', async () => {
    const stranger = createServer((_request, response) => response.end('hello'))
    stranger.listen(0, '127.0.0.1')
    await once(stranger, 'listening')
    const { port } = stranger.address() as AddressInfo
    await writeFile(path, JSON.stringify({ pid: process.ppid, url: `http://127.0.0.1:${port}`, token: 'old', job: 'old' }))
    await start(new FakeHandle())
    expect((await controlFile()).job).toBe('bids')
    stranger.close()
  })

  it('takes a process that accepts but is too busy to answer for alive', async () => {
    const busy = createTcpServer(() => undefined)
    busy.listen(0, '127.0.0.1')
    await once(busy, 'listening')
    const { port } = busy.address() as AddressInfo
    await writeFile(path, JSON.stringify({ pid: process.ppid, url: `http://127.0.0.1:${port}`, token: 'old', job: 'slow' }))
    await expect(openControlServer(path, 'bids')).rejects.toMatchObject({ code: 'CHECKPOINT_DIR_IN_USE' })
    busy.close()
  })

  it('takes over a torn file', async () => {
    await writeFile(path, '{ "pid": 12')
    await start(new FakeHandle())
    expect((await controlFile()).job).toBe('bids')
  })

  it('says when there is no job at all', async () => {
    await expect(callJobAt(dir, 'POST', '/stop')).rejects.toThrow(/CONTROL_UNREACHABLE: No job runs with .*[\s\S]*what to do:/)
    await expect(callJobAt(join(dir, 'absent'), 'POST', '/stop')).rejects.toMatchObject({ code: 'CONTROL_UNREACHABLE' })
  })

  it('does not remove a file that has become another run’s', async () => {
    const first = await start(new FakeHandle())
    const other = { ...(await controlFile()), token: 'another' }
    await writeFile(path, JSON.stringify(other))
    await first.close()
    open = []
    expect(await controlFile()).toEqual(other)
  })
})

describe('control commands', () => {
  it('print what became of the job', async () => {
    const handle = new FakeHandle()
    await start(handle)
    let printed = ''
    const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text)
      return true
    })
    try {
      await statusCommand(dir, {})
      await savepointCommand(dir, join(dir, 'sp'))
      await stopCommand(dir, { savepoint: join(dir, 'sp') })
      await cancelCommand(path)
    } finally {
      write.mockRestore()
    }
    expect(printed).toContain(`bids (process ${process.pid}, attempt 0): running  42 in`)
    expect(printed).toContain(`${join(dir, 'sp')}/savepoint-1\n`)
    expect(printed).toContain('cancelled after 1.5 s\ncheckpoint /ck/chk-3\n')
    expect(handle.calls.map((call) => (call as unknown[])[0])).toEqual(['savepoint', 'stop', 'cancel'])
  })
})
