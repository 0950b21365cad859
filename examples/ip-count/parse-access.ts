import type { ParsedLine } from './access.js'
import { malformed } from './access.js'
import { parseAccessDate } from './access-date.js'
import { isClientAddress } from './client-address.js'

const SPACE = 32
const QUOTE = 34
const DASH = 45
const ZERO = 48
const NINE = 57
const BACKSLASH = 92
const CARRIAGE_RETURN = 13
/** The last millisecond of a Date. */
const MAX_TIMESTAMP_MS = 8.64e15

/**
 * Reads one line of an access log, in whichever of three forms it is:
 *
 *     ip epochMillis method path status bytes
 *     ip ident user [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326                         Common Log Format
 *     ip ident user [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 "referer" "user agent"  Combined Log Format
 *
 * A line that is none of them says why; nothing is guessed or repaired.
 */
export function parseAccess(text: string): ParsedLine {
  const line = text.charCodeAt(text.length - 1) === CARRIAGE_RETURN ? text.slice(0, -1) : text
  const ipEnd = line.indexOf(' ')
  if (ipEnd < 0) return malformed(line === '' ? 'empty line' : 'only one field')
  const ip = line.slice(0, ipEnd)
  if (!isClientAddress(ip)) return malformed('the first field is not a client address')
  const dateStart = line.indexOf(' [', ipEnd)
  return dateStart < 0 || startsPlain(line, ipEnd) ? parsePlain(line, ip) : parseLogFormat(line, ip, dateStart)
}

/** Whether `ip digits ` begins the line: a path of the plain form may hold ` [`'s bracket too, but never before this. */
function startsPlain(line: string, ipEnd: number): boolean {
  let i = line.charCodeAt(ipEnd + 1) === DASH ? ipEnd + 2 : ipEnd + 1
  while (isDigit(line.charCodeAt(i))) i++
  return i > ipEnd + 8 && line.charCodeAt(i) === SPACE
}

function parsePlain(line: string, ip: string): ParsedLine {
  const timeStart = ip.length + 1
  const timeEnd = line.indexOf(' ', timeStart)
  const methodEnd = line.indexOf(' ', timeEnd + 1)
  const pathEnd = line.indexOf(' ', methodEnd + 1)
  const statusEnd = line.indexOf(' ', pathEnd + 1)
  if (timeEnd < 0 || methodEnd <= timeEnd || pathEnd <= methodEnd || statusEnd <= pathEnd) return malformed('fewer than 6 fields')
  if (line.indexOf(' ', statusEnd + 1) >= 0) return malformed('more than 6 fields')
  const before1970 = line.charCodeAt(timeStart) === DASH
  const time = wholeNumber(line, before1970 ? timeStart + 1 : timeStart, timeEnd)
  if (!(time <= MAX_TIMESTAMP_MS)) return malformed('the timestamp is not a number of milliseconds')
  if (methodEnd === timeEnd + 1) return malformed('the method is empty')
  if (pathEnd === methodEnd + 1) return malformed('the path is empty')
  const status = statusCode(line, pathEnd + 1, statusEnd)
  if (status < 0) return malformed('the status is not a number from 100 to 999')
  const bytes = byteCount(line, statusEnd + 1, line.length)
  if (bytes < 0) return malformed('the number of bytes is neither a number nor -')
  const method = line.slice(timeEnd + 1, methodEnd)
  return { ok: true, access: { ip, timestampMs: before1970 ? -time : time, method, path: line.slice(methodEnd + 1, pathEnd), status, bytes } }
}

function parseLogFormat(line: string, ip: string, dateStart: number): ParsedLine {
  // Between client and date stand ident and user; a user may hold spaces.
  const userStart = line.indexOf(' ', ip.length + 1)
  if (userStart >= dateStart || userStart === ip.length + 1) return malformed('ident or user is missing')
  const dateEnd = line.indexOf(']', dateStart)
  if (dateEnd < 0) return malformed('the date has no ]')
  const timestampMs = parseAccessDate(line.slice(dateStart + 2, dateEnd))
  if (Number.isNaN(timestampMs)) return malformed('the date is not like 10/Oct/2000:13:55:36 -0700')
  const requestEnd = quotedEnd(line, dateEnd + 1)
  if (requestEnd < 0) return malformed('the request is not a closed quoted field')
  const statusEnd = fieldEnd(line, requestEnd + 1)
  const status = statusCode(line, requestEnd + 1, statusEnd)
  if (line.charCodeAt(requestEnd) !== SPACE || status < 0) return malformed('the status is not a number from 100 to 999')
  const bytesEnd = fieldEnd(line, statusEnd + 1)
  const bytes = byteCount(line, statusEnd + 1, bytesEnd)
  if (bytes < 0) return malformed('the number of bytes is neither a number nor -')
  if (bytesEnd < line.length) {
    const refererEnd = quotedEnd(line, bytesEnd)
    if (refererEnd < 0) return malformed('the referer is not a closed quoted field')
    const agentEnd = quotedEnd(line, refererEnd)
    if (agentEnd < 0) return malformed('the user agent is not a closed quoted field')
    if (agentEnd < line.length) return malformed('text after the user agent')
  }
  const { method, path } = splitRequest(line.slice(dateEnd + 3, requestEnd - 1))
  return { ok: true, access: { ip, timestampMs, method, path, status, bytes } }
}

/** `GET /a HTTP/1.1`, or `GET /a` of HTTP/0.9; anything else was a request that the server could not read. */
function splitRequest(request: string): { method: string; path: string } {
  const methodEnd = request.indexOf(' ')
  const protocolStart = request.lastIndexOf(' ')
  if (methodEnd <= 0) return { method: '-', path: request }
  const path = protocolStart > methodEnd ? request.slice(methodEnd + 1, protocolStart) : request.slice(methodEnd + 1)
  return { method: request.slice(0, methodEnd), path }
}

/** The index behind ` "…"`, whose opening space is at `start`; a backslash protects the next character. -1 if there is no such field. */
function quotedEnd(line: string, start: number): number {
  if (line.charCodeAt(start) !== SPACE || line.charCodeAt(start + 1) !== QUOTE) return -1
  for (let i = start + 2; i < line.length; i++) {
    const code = line.charCodeAt(i)
    if (code === QUOTE) return i + 1
    if (code === BACKSLASH) i++
  }
  return -1
}

function fieldEnd(line: string, start: number): number {
  const end = line.indexOf(' ', start)
  return end < 0 ? line.length : end
}

function statusCode(line: string, start: number, end: number): number {
  const status = end - start === 3 ? wholeNumber(line, start, end) : Number.NaN
  return status >= 100 ? status : -1
}

function byteCount(line: string, start: number, end: number): number {
  if (end - start === 1 && line.charCodeAt(start) === DASH) return 0
  const bytes = wholeNumber(line, start, end)
  return bytes <= Number.MAX_SAFE_INTEGER ? bytes : -1
}

/** The digits from `start` to `end` as a number; NaN if there are none, or others. */
function wholeNumber(line: string, start: number, end: number): number {
  if (end <= start) return Number.NaN
  let number = 0
  for (let i = start; i < end; i++) {
    const code = line.charCodeAt(i)
    if (!isDigit(code)) return Number.NaN
    number = number * 10 + (code - ZERO)
  }
  return number
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE
}
