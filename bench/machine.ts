import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'

const TICKS_PER_SEC = 100

/** CPU seconds that the whole machine has been busy since it started, all cores. */
export function machineBusySec(): number {
  return process.platform === 'linux' ? busySecFromProc(readFileSync('/proc/stat', 'utf8')) : busySecFromCpus()
}

/** user, nice, system, irq, softirq and steal of the first line of /proc/stat; not idle, iowait. */
export function busySecFromProc(stat: string): number {
  const ticks = stat.slice(0, stat.indexOf('\n')).trim().split(/ +/).slice(1, 9).map(Number)
  return ticks.reduce((sum, n, field) => (field === 3 || field === 4 ? sum : sum + n), 0) / TICKS_PER_SEC
}

function busySecFromCpus(): number {
  return os.cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0) / 1000
}

/** CPU seconds of this process since `start`, all threads. */
export function processCpuSec(start?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1e6
}

export function machine(): { readonly node: string; readonly cpu: string; readonly cores: number } {
  const cpus = os.cpus()
  return { node: process.version, cpu: cpus[0]?.model.trim() ?? process.arch, cores: cpus.length }
}

export function millraceVersion(): string {
  return (createRequire(import.meta.url)('millrace/package.json') as { version: string }).version
}
