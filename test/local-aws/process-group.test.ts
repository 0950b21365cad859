import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { childrenOf, endGroup, type GroupLeader, isRunning, saidIn, spawnLeader } from '../../local-aws/process-group.js'

/** Begins a child that does not heed SIGTERM, and says its id. */
const PARENT = `
  const child = require('node:child_process').spawn(process.execPath, ['-e', "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')"])
  child.stdout.once('data', () => console.log('child ' + child.pid))
  setInterval(() => {}, 1000)
`

let folder: string
let leader: GroupLeader
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-group-'))
})
afterEach(async () => {
  await endGroup(leader)
  rmSync(folder, { recursive: true, force: true })
})

describe('a group of processes', () => {
  it('ends with its leader, also members that do not heed SIGTERM', async () => {
    const log = join(folder, 'log')
    leader = spawnLeader(process.execPath, ['-e', PARENT], { log, child: false })
    const child = Number(await saidIn(log, /^child (\d+)$/m, leader, 20_000))
    expect(isRunning(leader)).toBe(true)
    expect(childrenOf(leader)).toEqual([child])
    await endGroup(leader)
    expect(isRunning(leader)).toBe(false)
    expect(childrenOf(leader)).toEqual([])
  }, 60_000)

  it('is left alone when its id is another process’s by now', async () => {
    leader = spawnLeader(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { log: join(folder, 'log'), child: false })
    await endGroup({ pid: leader.pid, started: 'Thu Jan  1 00:00:00 1970' })
    expect(isRunning(leader)).toBe(true)
  }, 60_000)

  it('says what a process printed that does not say what was waited for', async () => {
    const log = join(folder, 'log')
    leader = spawnLeader(process.execPath, ['-e', "console.log('no port')"], { log, child: false })
    await expect(saidIn(log, /^listening (\d+)$/m, leader, 20_000)).rejects.toThrow(/no port/)
  }, 60_000)
})
