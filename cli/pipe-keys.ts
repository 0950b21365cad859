import { randomUUID } from 'node:crypto'
import { InvalidArgumentError } from 'commander'

/** How `millrace pipe` finds a line's partition key. */
export interface PartitionKey {
  /** Lines of one key stay in their order. Undefined: the line goes anywhere. */
  of(line: string, lineNumber: number): string | undefined
  readonly ordered: boolean
}

const FORMS = 'Give random, line, constant:KEY (at most 256 characters), field:N (from 1, between spaces) or json:NAME.'
/** Of Kinesis. */
const LONGEST_KEY = 256

/** `field:1` and its kind as a {@link PartitionKey}. */
export function partitionKey(text: string): PartitionKey {
  const [, kind, detail = ''] = /^([a-z]+)(?::(.*))?$/.exec(text) ?? []
  if (text === 'random') return { ordered: false, of: () => randomUUID() }
  if (text === 'line') return { ordered: true, of: short }
  if (kind === 'constant' && detail !== '' && detail.length <= LONGEST_KEY) return { ordered: true, of: () => detail }
  if (kind === 'field' && /^[1-9]\d*$/.test(detail)) return { ordered: true, of: (line) => short(line.trim().split(/\s+/)[Number(detail) - 1]) }
  if (kind === 'json' && detail !== '') return { ordered: true, of: (line) => property(line, detail) }
  throw new InvalidArgumentError(FORMS)
}

function property(line: string, name: string): string | undefined {
  try {
    const value = (JSON.parse(line) as Record<string, unknown> | null)?.[name]
    return typeof value === 'object' || value === undefined ? undefined : short(String(value))
  } catch {
    return undefined
  }
}

function short(key: string | undefined): string | undefined {
  return key === undefined || key === '' ? undefined : key.slice(0, LONGEST_KEY)
}
