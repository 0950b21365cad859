import { expect, test } from 'vitest'
import { accessLine } from '../../bench/generator/index.js'
import { parseAccess } from '../../bench/jobs/access.js'

test('all six fields are parsed', () => {
  expect(parseAccess('10.0.7.208 1600000000123 GET /p/12/index.html 404 49999')).toEqual({
    ip: '10.0.7.208',
    ts: 1_600_000_000_123,
    method: 'GET',
    path: '/p/12/index.html',
    status: 404,
    bytes: 49_999,
  })
})

test('what was generated comes back', () => {
  for (let i = 0; i < 1000; i++) {
    const { ip, ts, method, path, status, bytes } = parseAccess(accessLine(i, 10_000))
    expect([ip, ts, method, path, status, bytes].join(' ')).toBe(accessLine(i, 10_000))
  }
})

test.each(['', '10.0.0.1 1600000000123 GET /p 200', '10.0.0.1 16e5 GET /p 200 1', '10.0.0.1 1600000000123 GET /p  1'])('%j is refused', (line) => {
  expect(() => parseAccess(line)).toThrow('RECORD_MALFORMED')
})
