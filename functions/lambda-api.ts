import type { LambdaClient } from '@aws-sdk/client-lambda'
import { awsCall, isAwsError } from '../runtime/backends/aws/aws-call.js'
import { callSettings } from '../runtime/backends/aws/index.js'
import { MillraceError } from '../runtime/core/index.js'

/** An event source mapping as Lambda lists it. */
export interface FoundMapping {
  readonly uuid: string
  /** With the alias that it calls, if it calls one. */
  readonly functionArn: string
  readonly eventSourceArn: string
  /** Creating, Enabling, Enabled, Disabling, Disabled, Updating, Deleting. */
  readonly state: string
  readonly batchSize: number
  readonly batchingWindowSeconds: number
}

export interface MappingSettings {
  /** ARN of the function with its alias. */
  readonly functionName: string
  readonly batchSize: number
  readonly batchingWindowSeconds: number
}

export interface NewMapping extends MappingSettings {
  readonly eventSourceArn: string
  readonly start: 'TRIM_HORIZON' | 'LATEST'
  /** Epoch ms: with the first record that arrived then or later, and not at `start`. */
  readonly atMs: number | undefined
}

/**
 * What the control plane asks of Lambda. Whoever was faster, a resource that is being changed, one that is gone: none of these throws; what is there
 * says so when it is looked at again. Throws AWS_CALL for anything else.
 */
export interface LambdaApi {
  mappings(eventSourceArn: string): Promise<readonly FoundMapping[]>
  createMapping(mapping: NewMapping): Promise<void>
  /** Enables it, too. Its position stays. */
  updateMapping(uuid: string, settings: MappingSettings): Promise<void>
  deleteMapping(uuid: string): Promise<void>
  alias(functionArn: string, name: string): Promise<{ readonly version: string } | undefined>
  aliases(functionArn: string): Promise<readonly { readonly name: string; readonly version: string }[]>
  createAlias(functionArn: string, name: string, version: string): Promise<void>
  updateAlias(functionArn: string, name: string, version: string): Promise<void>
  deleteAlias(functionArn: string, name: string): Promise<void>
  /** Calls a function and returns its answer. Throws AWS_CALL when the function throws or gives none in time. */
  invoke(functionArn: string, payload: unknown): Promise<unknown>
}

type Sdk = typeof import('./lambda-sdk.js')

/** They all mean: look again. */
const RACES = ['ResourceConflictException', 'ResourceInUseException', 'ResourceNotFoundException', 'PreconditionFailedException']
/** With all its tries. A function that takes longer goes on all the same, and is found to have come further when it is called again. */
const CALL_MS = 45_000

/** {@link LambdaApi} by the SDK, whose client is loaded when it is first needed. */
export function lambdaApi(): LambdaApi {
  let loading: Promise<readonly [LambdaClient, Sdk]> | undefined
  const load = async (): Promise<readonly [LambdaClient, Sdk]> => {
    const sdk = await import('./lambda-sdk.js')
    return [new sdk.LambdaClient(callSettings(CALL_MS)), sdk]
  }
  const call = async <T>(what: string, where: string, send: (client: Pick<LambdaClient, 'send'>, sdk: Sdk) => Promise<T>): Promise<T> => {
    loading ??= load()
    const [client, sdk] = await loading
    const timely = { send: (command: never) => client.send(command, { abortSignal: AbortSignal.timeout(CALL_MS) }) } as Pick<LambdaClient, 'send'>
    return awsCall(what, where, () => send(timely, sdk))
  }
  const unless = async (work: Promise<unknown>): Promise<void> => {
    await work.catch(ignoreRace)
  }
  return {
    mappings: async (eventSourceArn) => {
      const found: FoundMapping[] = []
      let marker: string | undefined
      do {
        const { EventSourceMappings = [], NextMarker } = await call('ListEventSourceMappings', eventSourceArn, (client, sdk) =>
          client.send(
            new sdk.ListEventSourceMappingsCommand({ EventSourceArn: eventSourceArn, ...(marker === undefined ? {} : { Marker: marker }) }),
          ),
        )
        for (const { UUID = '', FunctionArn = '', EventSourceArn = '', State = '', ...settings } of EventSourceMappings) {
          const { BatchSize = 0, MaximumBatchingWindowInSeconds: batchingWindowSeconds = 0 } = settings
          found.push({
            uuid: UUID,
            functionArn: FunctionArn,
            eventSourceArn: EventSourceArn,
            state: State,
            batchSize: BatchSize,
            batchingWindowSeconds,
          })
        }
        marker = NextMarker === '' ? undefined : NextMarker
      } while (marker !== undefined)
      return found
    },
    createMapping: ({ eventSourceArn, start, atMs, ...settings }) =>
      unless(
        call('CreateEventSourceMapping', eventSourceArn, (client, sdk) =>
          client.send(
            new sdk.CreateEventSourceMappingCommand({
              EventSourceArn: eventSourceArn,
              ...inputOf(settings),
              // A batch that is given up would be a gap for ever: without end, until the records expire.
              MaximumRetryAttempts: -1,
              MaximumRecordAgeInSeconds: -1,
              ParallelizationFactor: 1,
              FunctionResponseTypes: ['ReportBatchItemFailures'],
              ...(atMs === undefined ? { StartingPosition: start } : { StartingPosition: 'AT_TIMESTAMP', StartingPositionTimestamp: new Date(atMs) }),
            }),
          ),
        ),
      ),
    updateMapping: (uuid, settings) =>
      unless(
        call('UpdateEventSourceMapping', uuid, (client, sdk) =>
          client.send(new sdk.UpdateEventSourceMappingCommand({ UUID: uuid, ...inputOf(settings) })),
        ),
      ),
    deleteMapping: (uuid) =>
      unless(call('DeleteEventSourceMapping', uuid, (client, sdk) => client.send(new sdk.DeleteEventSourceMappingCommand({ UUID: uuid })))),
    alias: async (functionArn, name) => {
      try {
        const { FunctionVersion = '' } = await call('GetAlias', `${functionArn}:${name}`, (client, sdk) =>
          client.send(new sdk.GetAliasCommand({ FunctionName: functionArn, Name: name })),
        )
        return { version: FunctionVersion }
      } catch (error) {
        ignoreRace(error)
        return undefined
      }
    },
    aliases: async (functionArn) => {
      const found: { name: string; version: string }[] = []
      let marker: string | undefined
      do {
        const { Aliases = [], NextMarker } = await call('ListAliases', functionArn, (client, sdk) =>
          client.send(new sdk.ListAliasesCommand({ FunctionName: functionArn, ...(marker === undefined ? {} : { Marker: marker }) })),
        )
        for (const { Name = '', FunctionVersion = '' } of Aliases) found.push({ name: Name, version: FunctionVersion })
        marker = NextMarker === '' ? undefined : NextMarker
      } while (marker !== undefined)
      return found
    },
    createAlias: (functionArn, name, version) =>
      unless(
        call('CreateAlias', `${functionArn}:${name}`, (client, sdk) =>
          client.send(new sdk.CreateAliasCommand({ FunctionName: functionArn, Name: name, FunctionVersion: version })),
        ),
      ),
    updateAlias: (functionArn, name, version) =>
      unless(
        call('UpdateAlias', `${functionArn}:${name}`, (client, sdk) =>
          client.send(new sdk.UpdateAliasCommand({ FunctionName: functionArn, Name: name, FunctionVersion: version })),
        ),
      ),
    deleteAlias: (functionArn, name) =>
      unless(
        call('DeleteAlias', `${functionArn}:${name}`, (client, sdk) =>
          client.send(new sdk.DeleteAliasCommand({ FunctionName: functionArn, Name: name })),
        ),
      ),
    invoke: async (functionArn, payload) => {
      const { FunctionError, Payload } = await call('Invoke', functionArn, (client, sdk) =>
        client.send(new sdk.InvokeCommand({ FunctionName: functionArn, Payload: new TextEncoder().encode(JSON.stringify(payload)) })),
      )
      const answer = Payload === undefined ? '' : new TextDecoder().decode(Payload)
      if (FunctionError === undefined) return answer === '' ? undefined : JSON.parse(answer)
      throw new MillraceError('AWS_CALL', { what: `the function threw: ${answer}`, where: functionArn, todo: "Look at the function's log." })
    },
  }
}

function inputOf({ functionName, batchSize, batchingWindowSeconds }: MappingSettings) {
  return {
    FunctionName: functionName,
    BatchSize: batchSize,
    MaximumBatchingWindowInSeconds: batchingWindowSeconds,
    // Said explicitly: one that was disabled stays so otherwise.
    Enabled: true,
  }
}

function ignoreRace(error: unknown): void {
  if (error instanceof MillraceError && isAwsError(error.detail.cause, ...RACES)) return
  throw error
}
