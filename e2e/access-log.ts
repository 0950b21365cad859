import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from 'millrace'
import ipCount, { type IpCount } from '../examples/ip-count/job.js'
import { parseAccess } from '../examples/ip-count/parse-access.js'

/** Later than any access of the log: with one of these in every shard all windows of the log fire, and its own does not. */
export const LAST_WORD = '10.0.0.1 4000000000000 GET / 200 1'
export const LAST_WORD_MS = 4_000_000_000_000
const OUT_OF_ORDERNESS_MS = 1_000

/** What goes into the stream, and what has to come out. */
export interface AccessLog {
  readonly lines: readonly string[]
  /** The windows of an embedded run over the lines, by {@link windowText}, sorted. */
  readonly windows: readonly string[]
}

/** The log that ships with the example, without the lines that may come too late, as an embedded run counts it. */
export async function accessLog(root: string, folder: string): Promise<AccessLog> {
  const lines = inTime(readFileSync(join(root, 'examples', 'ip-count', 'access.log'), 'utf8').split('\n'))
  const input = join(folder, 'access.log')
  const output = join(folder, 'windows.jsonl')
  writeFileSync(input, `${lines.join('\n')}\n`)
  const handle = await run(ipCount, { threads: 0, parameters: { input, output, malformed: join(folder, 'malformed.jsonl') } })
  await handle.result()
  return { lines, windows: readWindows(output) }
}

/** The windows in a file of the example's, by {@link windowText}, sorted. */
export function readWindows(file: string): readonly string[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines
    .filter((line) => line !== '')
    .map((line) => windowText(JSON.parse(line) as IpCount))
    .sort()
}

export function windowText({ ip, start, end, count }: IpCount): string {
  return `${ip} ${start} ${end} ${count}`
}

/**
 * Without lines behind the watermark. Which of those are late depends on how far each shard has been read, which is a matter of chance; all others are
 * counted, in any order of the shards.
 */
function inTime(lines: readonly string[]): readonly string[] {
  let latest = Number.NEGATIVE_INFINITY
  return lines.filter((line) => {
    const parsed = parseAccess(line)
    if (!parsed.ok) return line !== ''
    latest = Math.max(latest, parsed.access.timestampMs)
    return parsed.access.timestampMs >= latest - OUT_OF_ORDERNESS_MS
  })
}
