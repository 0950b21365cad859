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

describe('the mapping that Lambda has', () => {
  it('is as the source wants it: made, left alone, changed, enabled, repointed', async () => {
    const lambda = new LambdaImitation()
    onTestFinished(() => lambda.restore())
    lambda.publish(FUNCTION, '7', () => Promise.resolve())
    const mappings = new SourceMappings(lambdaApi())
    /** Asks until it is done, and says what was on the way. */
    const letRead = async (attempt: number, change: Partial<DeployedSource> = {}): Promise<string[]> => {
      const options = { replace: false, eventSources: [], beginAtMs: async () => 5_000 }
      for (const ways: string[] = []; ways.length < 10; lambda.settle()) {
        const progress = await mappings.letRead({ ...SOURCE, ...change }, attempt, options)
        if (progress.done) return ways
        ways.push(progress.why.replace(/ (of|to) .*/, ''))
      }
      throw new Error('it is never done')
    }
    const found = () => [...lambda.mappings.values()].map(({ acknowledged: _, next: __, ...rest }) => rest)
    const made = { uuid: 'mapping-1', eventSourceArn: STREAM, functionArn: `${FUNCTION}:attempt-3`, state: 'Enabled', start: 5_000 }
    expect(await letRead(3)).toEqual(['the mapping'])
    expect(found()).toEqual([{ ...made, batchSize: 100, batchingWindowSeconds: 1 }])
    expect(await letRead(3)).toEqual([])
    const otherwise = { batchSize: 10, batchingWindowSeconds: 5 }
    expect(await letRead(3, otherwise)).toHaveLength(1)
    expect(found()).toEqual([{ ...made, ...otherwise }])
    for (const mapping of lambda.mappings.values()) mapping.state = 'Disabled'
    expect(await letRead(3, otherwise)).toHaveLength(1)
    expect(found()).toEqual([{ ...made, ...otherwise }])
    expect(await letRead(4, otherwise)).toHaveLength(1)
    expect(found()).toEqual([{ ...made, ...otherwise, functionArn: `${FUNCTION}:attempt-4` }])
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
