import { App, Stack } from 'aws-cdk-lib'
import { describe, expect, it } from 'vitest'
import { parallelismInContext } from '../../cdk/parallelism-in-context.js'

function stackWith(parallelism: unknown): Stack {
  return new Stack(new App({ context: { 'millrace:parallelism:tally': parallelism } }), 'shop')
}

describe('the parallelism in the context', () => {
  it('is that of the job, as a number or as text', () => {
    expect(parallelismInContext(stackWith(4), 'tally')).toBe(4)
    expect(parallelismInContext(stackWith('4'), 'tally')).toBe(4)
    expect(parallelismInContext(stackWith(4), 'other')).toBeUndefined()
  })

  it('is refused when it is none', () => {
    for (const wrong of [0, -1, 1.5, 'four', ''])
      expect(() => parallelismInContext(stackWith(wrong), 'tally')).toThrow(/OPTION_INVALID: the parallelism of job "tally"/)
  })
})
