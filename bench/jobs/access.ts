import { MillraceError } from 'millrace'

/** One line of the access log. `ts` is epoch ms. */
export interface Access {
  readonly ip: string
  readonly ts: number
  readonly method: string
  readonly path: string
  readonly status: number
  readonly bytes: number
}

/** Takes `IP TS METHOD PATH STATUS BYTES` apart. Throws RECORD_MALFORMED when a field is missing or a number is none. */
export function parseAccess(line: string): Access {
  const a = line.indexOf(' ')
  const b = line.indexOf(' ', a + 1)
  const c = line.indexOf(' ', b + 1)
  const d = line.indexOf(' ', c + 1)
  const e = line.indexOf(' ', d + 1)
  return {
    ip: line.slice(0, a),
    ts: parseDigits(line, a + 1, b),
    method: line.slice(b + 1, c),
    path: line.slice(c + 1, d),
    status: parseDigits(line, d + 1, e),
    bytes: parseDigits(line, e + 1, line.length),
  }
}

/** The decimal number in line[from, to), without making a string of it. */
function parseDigits(line: string, from: number, to: number): number {
  if (to <= from) throw malformed(line)
  let value = 0
  for (let i = from; i < to; i++) {
    const digit = line.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) throw malformed(line)
    value = value * 10 + digit
  }
  return value
}

function malformed(line: string): MillraceError {
  return new MillraceError('RECORD_MALFORMED', { what: `'${line}' is no line of the access log`, todo: 'Expected: IP TS METHOD PATH STATUS BYTES.' })
}
