import { FIRST_EVENT_MS } from './event-time.js'
import { flatString } from './flat-string.js'
import { rnd, zipf } from './mix.js'

const METHODS = ['GET', 'POST', 'PUT', 'HEAD']
const STATUS = [200, 304, 404, 500, 301]
/** Indices into METHODS and STATUS, as often as each of them comes. */
const METHOD_MIX = [0, 0, 0, 1, 2, 3]
const STATUS_MIX = [0, 0, 0, 0, 1, 2, 3, 4]
const PATHS = 1000
const SECOND_BEFORE = FIRST_EVENT_MS / 1000 - 1

/** `10.a.b.c ` by the number of the address. */
const IPS = Array.from({ length: 10_000 }, (_, ip) => flatString(`10.${(ip >> 16) & 255}.${(ip >> 8) & 255}.${ip & 255} `))
const MILLISECONDS = Array.from({ length: 1000 }, (_, ms) => String(ms).padStart(3, '0'))
/** ` METHOD /p/N/index.html STATUS ` by (method * PATHS + path) * STATUS.length + status. */
const REQUESTS = METHODS.flatMap((method) =>
  Array.from({ length: PATHS }, (_, path) => STATUS.map((status) => flatString(` ${method} /p/${path}/index.html ${status} `))).flat(),
)
const BYTES = Array.from({ length: 50_000 }, (_, bytes) => String(bytes))

// Lines move slowly over the seconds of event time, back and forth by less than one: the last two are kept as text.
let second = -1
let secondText = ''
let otherSecond = -1
let otherSecondText = ''

function textOfSecond(wanted: number): string {
  if (wanted === second) return secondText
  const text = wanted === otherSecond ? otherSecondText : String(wanted)
  otherSecond = second
  otherSecondText = secondText
  second = wanted
  secondText = text
  return text
}

/** Line `i` of the access log: `10.a.b.c TS METHOD /p/N/index.html STATUS BYTES`. */
export function accessLine(i: number, eps: number): string {
  const n = i | 0
  const ip = zipf(n, 1, 14) % 10_000
  // Counted from one second before the first event, so never negative and, for most runs, small: V8 computes with it faster.
  const ms = 1000 + Math.floor((i * 1000) / eps) - rnd(n, 3, 1000)
  const seconds = Math.floor(ms / 1000)
  const request = (METHOD_MIX[rnd(n, 4, 6)] * PATHS + rnd(n, 5, PATHS)) * STATUS.length + STATUS_MIX[rnd(n, 6, 8)]
  return IPS[ip] + textOfSecond(SECOND_BEFORE + seconds) + MILLISECONDS[ms - seconds * 1000] + REQUESTS[request] + BYTES[rnd(n, 7, 50_000)]
}
