import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { WINDOW_MS } from './job.mjs'

/** What the output must hold: `ip start` -> `count last`, straight from the input. */
export async function expectedResults(input) {
  const seen = new Map()
  const windows = new Map()
  for await (const line of createInterface({ input: createReadStream(input) })) {
    const [ip, time] = line.split(' ')
    const n = (seen.get(ip) ?? 0) + 1
    seen.set(ip, n)
    const start = Math.floor(Number(time) / WINDOW_MS) * WINDOW_MS
    const window = windows.get(`${ip} ${start}`) ?? { count: 0, last: 0 }
    windows.set(`${ip} ${start}`, { count: window.count + 1, last: n })
  }
  return windows
}

/** Names of the finished output files; hidden ones are not committed. */
export async function finishedFiles(output) {
  const names = await readdir(output).catch(() => [])
  return names.filter((name) => !name.startsWith('.')).sort()
}

/** Compares the finished files with the input, whatever their number and order. */
export async function compareResults(input, output) {
  const expected = await expectedResults(input)
  const found = new Map()
  const differences = { lost: [], duplicate: [], wrong: [], unexpected: [], unreadable: [] }
  const files = await finishedFiles(output)
  for (const name of files) {
    for (const line of (await readFile(join(output, name), 'utf8')).split('\n')) {
      if (line === '') continue
      try {
        const { ip, start, count, last } = JSON.parse(line)
        const key = `${ip} ${start}`
        if (found.has(key)) differences.duplicate.push({ key, name })
        found.set(key, { count, last, name })
      } catch {
        differences.unreadable.push({ name, line })
      }
    }
  }
  for (const [key, { count, last }] of expected) {
    const result = found.get(key)
    if (result === undefined) differences.lost.push(key)
    else if (result.count !== count || result.last !== last) differences.wrong.push({ key, expected: { count, last }, result })
  }
  for (const key of found.keys()) if (!expected.has(key)) differences.unexpected.push(key)
  return { windows: expected.size, files: files.length, differences }
}
