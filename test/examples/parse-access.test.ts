import { describe, expect, it } from 'vitest'
import type { Access } from '../../examples/ip-count/access.js'
import { parseAccess } from '../../examples/ip-count/parse-access.js'

const TIME = Date.UTC(2000, 9, 10, 20, 55, 36)

function access(line: string): Access {
  const parsed = parseAccess(line)
  if (!parsed.ok) throw new Error(`${parsed.reason}: ${line}`)
  return parsed.access
}

function reason(line: string): string {
  const parsed = parseAccess(line)
  return parsed.ok ? `accepted as ${JSON.stringify(parsed.access)}` : parsed.reason
}

describe('plain form', () => {
  it('has six fields', () => {
    expect(access('10.0.3.7 1600000000123 GET /p/12/index.html 200 345')).toEqual({
      ip: '10.0.3.7',
      timestampMs: 1600000000123,
      method: 'GET',
      path: '/p/12/index.html',
      status: 200,
      bytes: 345,
    })
  })

  it.each([
    ['2001:db8::1 1600000000000 GET / 200 1', '2001:db8::1', 1600000000000],
    ['::1 0 GET / 200 1', '::1', 0],
    ['www.example.org 12 GET / 200 -', 'www.example.org', 12],
    ['localhost 1600000000000 GET /a[1] 200 1', 'localhost', 1600000000000],
    ['10.0.0.1 -5 GET / 200 1', '10.0.0.1', -5],
    ['10.0.0.1 1600000000000 GET / 200 1\r', '10.0.0.1', 1600000000000],
  ])('%s', (line, ip, timestampMs) => {
    expect(access(line)).toMatchObject({ ip, timestampMs })
  })

  it.each([
    ['10.0.0.1 NaN GET / 200 1', 'the timestamp is not a number of milliseconds'],
    ['10.0.0.1 Infinity GET / 200 1', 'the timestamp is not a number of milliseconds'],
    ['10.0.0.1 1e12 GET / 200 1', 'the timestamp is not a number of milliseconds'],
    ['10.0.0.1 99999999999999999999 GET / 200 1', 'the timestamp is not a number of milliseconds'],
    ['10.0.0.1 - GET / 200 1', 'the timestamp is not a number of milliseconds'],
    ['10.0.0.1  GET / 200 1', 'the timestamp is not a number of milliseconds'],
    ['10.0.0.1 1600000000000 GET / 200', 'fewer than 6 fields'],
    ['10.0.0.1 1600000000000 GET /', 'fewer than 6 fields'],
    ['10.0.0.1 1600000000000', 'fewer than 6 fields'],
    ['10.0.0.1 1600000000000 GET / 200 1 2', 'more than 6 fields'],
    ['10.0.0.1 1600000000000 GET / 20 1', 'the status is not a number from 100 to 999'],
    ['10.0.0.1 1600000000000 GET / abc 1', 'the status is not a number from 100 to 999'],
    ['10.0.0.1 1600000000000 GET / 200 1k', 'the number of bytes is neither a number nor -'],
    ['10.0.0.1 1600000000000 GET / 200 ', 'the number of bytes is neither a number nor -'],
    ['10.0.0.1 1600000000000 GET  200 1', 'the path is empty'],
    ['10.0.0.1 1600000000000  / 200 1', 'the method is empty'],
  ])('refuses %s', (line, why) => {
    expect(reason(line)).toBe(why)
  })
})

describe('client', () => {
  it.each(['0.0.0.0', '255.255.255.255', 'fe80::1', '::ffff:10.0.0.1', 'a', 'host-1.internal', 'my_host', '3com.com', 'example.org.'])('%s', (ip) => {
    expect(access(`${ip} 1600000000000 GET / 200 1`).ip).toBe(ip)
  })

  it.each(['256.1.1.1', '1.2.3', '1.2.3.4.5', '1..2.3', '999', ':::1', '12345::', '-', '-host', 'a..b', '/p', '"x"', '[Sat', 'host,x', ''])(
    'not %s',
    (ip) => {
      expect(reason(`${ip} 1600000000000 GET / 200 1`)).toBe('the first field is not a client address')
    },
  )
})

describe('Common and Combined Log Format', () => {
  it('reads Apache’s own example', () => {
    expect(access('127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326')).toEqual({
      ip: '127.0.0.1',
      timestampMs: TIME,
      method: 'GET',
      path: '/apache_pb.gif',
      status: 200,
      bytes: 2326,
    })
    const combined =
      '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
    expect(access(combined)).toMatchObject({ timestampMs: TIME, bytes: 2326 })
  })

  it.each([
    ['10/Oct/2000:20:55:36 +0000', TIME],
    ['10/Oct/2000:20:55:36 -0000', TIME],
    ['11/Oct/2000:02:25:36 +0530', TIME],
    ['10/Oct/2000:17:25:36 -0330', TIME],
    ['01/Jan/1970:00:00:00 +0000', 0],
    ['29/Feb/2024:00:00:00 +0000', Date.UTC(2024, 1, 29)],
  ])('honours the zone of %s', (date, timestampMs) => {
    expect(access(`::1 - - [${date}] "GET / HTTP/1.1" 200 1`).timestampMs).toBe(timestampMs)
  })

  it.each([
    '30/Feb/2024:00:00:00 +0000',
    '29/Feb/2023:00:00:00 +0000',
    '00/Jan/2024:00:00:00 +0000',
    '10/Okt/2000:13:55:36 -0700',
    '10/Oct/2000:24:00:00 +0000',
    '10/Oct/2000:13:60:36 +0000',
    '10/Oct/2000:13:55:61 +0000',
    '10/Oct/2000:13:55:36 +9900',
    '10/Oct/2000:13:55:36',
    '2000-10-10T13:55:36Z',
    '-',
    '',
  ])('refuses the date %s', (date) => {
    expect(reason(`::1 - - [${date}] "GET / HTTP/1.1" 200 1`)).toBe('the date is not like 10/Oct/2000:13:55:36 -0700')
  })

  const head = '10.0.0.1 - - [10/Oct/2000:20:55:36 +0000]'

  it.each([
    ['"GET /a b HTTP/1.1" 200 -', 'GET', '/a b', 0],
    ['"GET /" 200 5', 'GET', '/', 5],
    ['"-" 408 -', '-', '-', 0],
    ['"-" 408 0 "-" "-"', '-', '-', 0],
    ['"" 400 0 "-" "-"', '-', '', 0],
    ['"\\x16\\x03\\x01" 400 226 "-" "-"', '-', '\\x16\\x03\\x01', 226],
    ['"GET /\\"q\\" HTTP/1.1" 404 7 "a \\"b\\"" "c\\\\"', 'GET', '/\\"q\\"', 7],
    ['"GET /x] [y HTTP/1.1" 200 1 "-" "200 [x] 300"', 'GET', '/x] [y', 1],
  ])('%s', (rest, method, path, bytes) => {
    expect(access(`${head} ${rest}`)).toMatchObject({ ip: '10.0.0.1', timestampMs: TIME, method, path, bytes })
  })

  it('takes a user with spaces', () => {
    expect(access('10.0.0.1 - john doe [10/Oct/2000:20:55:36 +0000] "GET / HTTP/1.1" 200 1').ip).toBe('10.0.0.1')
  })

  it.each([
    [`${head} "GET / HTTP/1.1" 200`, 'the number of bytes is neither a number nor -'],
    [`${head} "GET / HTTP/1.1"`, 'the status is not a number from 100 to 999'],
    [`${head} "GET / HTTP/1.1" OK 1`, 'the status is not a number from 100 to 999'],
    [`${head} "GET / HTTP/1.1"x200 1`, 'the status is not a number from 100 to 999'],
    [`${head} "GET / HT`, 'the request is not a closed quoted field'],
    [`${head} GET / HTTP/1.1 200 1`, 'the request is not a closed quoted field'],
    [`${head}`, 'the request is not a closed quoted field'],
    [`${head} "GET / HTTP/1.1" 200 1 "-`, 'the referer is not a closed quoted field'],
    [`${head} "GET / HTTP/1.1" 200 1 `, 'the referer is not a closed quoted field'],
    [`${head} "GET / HTTP/1.1" 200 1 "-"`, 'the user agent is not a closed quoted field'],
    [`${head} "GET / HTTP/1.1" 200 1 "-" "Mozilla \\"`, 'the user agent is not a closed quoted field'],
    [`${head} "GET / HTTP/1.1" 200 1 "-" "-" 12`, 'text after the user agent'],
    [`${head} "GET / HTTP/1.1" 200 17${head} "GET / HTTP/1.1" 200 1 "-" "-"`, 'the number of bytes is neither a number nor -'],
    ['10.0.0.1 - - [10/Oct/2000:20:55:36 +0000 "GET / HTTP/1.1" 200 1', 'the date has no ]'],
    ['10.0.0.1 - [10/Oct/2000:20:55:36 +0000] "GET / HTTP/1.1" 200 1', 'ident or user is missing'],
    ['10.0.0.1 [10/Oct/2000:20:55:36 +0000] "GET / HTTP/1.1" 200 1', 'ident or user is missing'],
    ['[Sat Nov 21 03:58:48.620400 2026] [core:error] [pid 57:tid 71] x', 'the first field is not a client address'],
    ['', 'empty line'],
    ['\r', 'empty line'],
    ['garbage', 'only one field'],
    ['this is no log line', 'fewer than 6 fields'],
  ])('refuses %s', (line, why) => {
    expect(reason(line)).toBe(why)
  })

  it('refuses each proper prefix of a combined line, but the one that is a line in Common Log Format with fewer digits', () => {
    const line = `${head} "GET / HTTP/1.1" 200 26 "-" "curl"`
    const accepted = Array.from({ length: line.length }, (_, i) => line.slice(0, i)).filter((prefix) => parseAccess(prefix).ok)
    expect(accepted).toEqual([`${head} "GET / HTTP/1.1" 200 2`, `${head} "GET / HTTP/1.1" 200 26`])
  })
})
