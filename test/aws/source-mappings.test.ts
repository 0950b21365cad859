import { describe, expect, it, onTestFinished } from 'vitest'
import type { DeployedSource } from '../../functions/deployment-record.js'
import { type FoundMapping, lambdaApi } from '../../functions/lambda-api.js'
import { decideMapping, SourceMappings } from '../../functions/source-mappings.js'
import { LambdaImitation } from './lambda-imitation.js'

const FUNCTION = 'arn:aws:lambda:eu-central-1:123456789012:function:clicks'
const STREAM = 'arn:aws:kinesis:eu-central-1:123456789012:stream/clicks'
const SOURCE: DeployedSource = {
  functionArn: FUNCTION,
  version: '7',
  eventSourceArn: STREAM,
  stream: 'clicks',
  batchSize: 100,
  batchingWindowSeconds: 1,
  start: 'TRIM_HORIZON',
}

function mapping(uuid: string, attempt: number, change: Partial<FoundMapping> = {}): FoundMapping {
  const settings = { batchSize: 100, batchingWindowSeconds: 1 }
  return { uuid, functionArn: `${FUNCTION}:attempt-${attempt}`, eventSourceArn: STREAM, state: 'Enabled', ...settings, ...change }
}

/** For attempt 3. */
function decide(found: readonly FoundMapping[], replace = false) {
  return decideMapping(found, { source: SOURCE, aliasArn: `${FUNCTION}:attempt-3`, replace })
}

describe('the mapping of a source', () => {
  it('is made when there is none, and left alone when it is right', () => {
    expect(decide([])).toEqual({ kind: 'create' })
    expect(decide([mapping('m', 3)])).toEqual({ kind: 'done' })
  })

  it('is repointed, set otherwise and enabled', () => {
    const update = { kind: 'update', uuid: 'm' }
    expect(decide([mapping('m', 2)])).toEqual(update)
    expect(decide([mapping('m', 3, { state: 'Disabled' })])).toEqual(update)
    expect(decide([mapping('m', 3, { batchSize: 10 })])).toEqual(update)
    expect(decide([mapping('m', 3, { batchingWindowSeconds: 0 })])).toEqual(update)
    expect(decide([mapping('m', 0, { functionArn: FUNCTION })])).toEqual(update)
  })

  it.each(['Creating', 'Enabling', 'Updating', 'Disabling'])('is waited for while it is %s', (state) => {
    expect(decide([mapping('m', 3, { state })])).toMatchObject({ kind: 'wait' })
    expect(decide([mapping('m', 2, { state })], true)).toMatchObject({ kind: 'wait' })
  })

  it('is replaced when the source goes back: the old one goes before the new one comes', () => {
    expect(decide([mapping('m', 2)], true)).toEqual({ kind: 'delete', uuid: 'm' })
    expect(decide([mapping('m', 2, { state: 'Deleting' })], true)).toMatchObject({ kind: 'wait' })
    expect(decide([], true)).toEqual({ kind: 'create' })
    expect(decide([mapping('n', 3, { state: 'Creating' })], true)).toMatchObject({ kind: 'wait' })
    expect(decide([mapping('n', 3)], true)).toEqual({ kind: 'done' })
  })

  it('stays one: of several that of the attempt, else any', () => {
    expect(decide([mapping('m', 2), mapping('n', 3)])).toEqual({ kind: 'delete', uuid: 'm' })
    expect(decide([mapping('m', 1), mapping('n', 2)])).toEqual({ kind: 'delete', uuid: 'n' })
  })

  it('is made anew for a consumer of the stream, which no mapping can be turned to', () => {
    const consumer = `${STREAM}/consumer/clicks:1700000000`
    expect(decide([mapping('m', 2, { eventSourceArn: consumer })])).toEqual({ kind: 'delete', uuid: 'm' })
  })
})

describe('the aliases of a source’s function', () => {
  it('are none when the function is gone, as that of a source of an older revision is when the stack is deleted', async () => {
    const lambda = new LambdaImitation()
    onTestFinished(() => lambda.restore())
    const mappings = new SourceMappings(lambdaApi())
    await expect(mappings.removeAliases(FUNCTION)).resolves.toBeUndefined()
    lambda.publish(FUNCTION, '7', () => Promise.resolve())
    await lambdaApi().createAlias(FUNCTION, 'attempt-3', '7')
    await mappings.removeAliases(FUNCTION)
    expect(lambda.aliases.size).toBe(0)
  })
})
