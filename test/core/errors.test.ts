import { describe, expect, test } from 'vitest'
import { assert, ERROR_CODES, type ErrorCode, MillraceError } from '../../runtime/core/index.js'

/** docs/errors.md is this table. `npx vitest run test/core -u` writes it anew. */
function errorTable(): string {
  const rows = (Object.keys(ERROR_CODES) as ErrorCode[]).sort().map((code) => {
    const { domain, retryable, summary } = ERROR_CODES[code]
    return `| \`${code}\` | ${domain} | ${retryable ? 'yes' : 'no'} | ${summary} |`
  })
  return [
    '# Error codes',
    '',
    'Every failure is a `MillraceError` with one of these codes; its message says what happened, where, and what to do next.',
    'The domain says who can mend it: *user* (the job, an option, the input), *external* (a disk, a server), *internal* (Millrace: please report).',
    'A restart strategy starts the job again only after codes that may be retried.',
    '',
    '| code | domain | retried | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

describe('errors', () => {
  test('docs/errors.md lists exactly the codes of the table', async () => {
    await expect(errorTable()).toMatchFileSnapshot('../../docs/errors.md')
  })

  test('a message says what, where and what to do', () => {
    const error = new MillraceError('KEY_INVALID', { what: 'no key', where: 'operator "x"', todo: 'Filter first.', cause: new Error('deep') })
    expect(error.message).toBe('KEY_INVALID: no key (deep)\n  where: operator "x"\n  what to do: Filter first.')
    expect(error.domain).toBe('user')
  })

  test('an error survives the way between threads', () => {
    const error = new MillraceError('USER_FUNCTION', { what: 'map threw', uid: 'm', cause: new TypeError('x is not a function') })
    const back = MillraceError.fromPlain(structuredClone(error.toPlain()))
    expect(back.message).toBe(error.message)
    expect(back).toMatchObject({ code: 'USER_FUNCTION', uid: 'm', retryable: true })
    expect((back.cause as Error).stack).toContain('TypeError')
  })

  test('an invariant that does not hold is a bug and says so', () => {
    expect(() => assert(1 > 2, 'one is more than two')).toThrow('ASSERTION: one is more than two')
  })
})
