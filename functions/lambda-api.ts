import {
  CreateAliasCommand,
  CreateEventSourceMappingCommand,
  DeleteAliasCommand,
  DeleteEventSourceMappingCommand,
  GetAliasCommand,
  InvokeCommand,
  LambdaClient,
  ListAliasesCommand,
  ListEventSourceMappingsCommand,
  UpdateAliasCommand,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda'
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
  /**
   * Epoch ms: with the first record that arrived then or later; undefined: with the oldest. Never LATEST: a mapping takes up to minutes until it reads, when it is
   * made and whenever it is changed, and one at LATEST would miss what comes meanwhile (so says Lambda's guide).
   */
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

/** They all mean: look again. */
const RACES = ['ResourceConflictException', 'ResourceInUseException', 'ResourceNotFoundException', 'PreconditionFailedException']
/** With all its tries. A function that takes longer goes on all the same, and is found to have come further when it is called again. */
const CALL_MS = 45_000

type Client = Pick<LambdaClient, 'send'>

/** {@link LambdaApi} by the SDK. Load this module when it is needed: most that the control function is asked for has no use for the client. */
export function lambdaApi(): LambdaApi {
  const client = new LambdaClient(callSettings(CALL_MS))
  const timely = { send: (command: never) => client.send(command, { abortSignal: AbortSignal.timeout(CALL_MS) }) } as Client
  const call = <T>(what: string, where: string, send: (client: Client) => Promise<T>): Promise<T> => awsCall(what, where, () => send(timely))
  const unless = async (work: Promise<unknown>): Promise<void> => {
    await work.catch(ignoreRace)
  }
  return {
    mappings: async (eventSourceArn) => {
      const found: FoundMapping[] = []
      let marker: string | undefined
      do {
        const { EventSourceMappings = [], NextMarker } = await call('ListEventSourceMappings', eventSourceArn, (client) =>
          client.send(new ListEventSourceMappingsCommand({ EventSourceArn: eventSourceArn, ...(marker === undefined ? {} : { Marker: marker }) })),
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
    createMapping: ({ eventSourceArn, atMs, ...settings }) =>
      unless(
        call('CreateEventSourceMapping', eventSourceArn, (client) =>
          client.send(
            new CreateEventSourceMappingCommand({
              EventSourceArn: eventSourceArn,
              ...inputOf(settings),
              // A batch that is given up would be a gap for ever: without end, until the records expire.
              MaximumRetryAttempts: -1,
              MaximumRecordAgeInSeconds: -1,
              ParallelizationFactor: 1,
              FunctionResponseTypes: ['ReportBatchItemFailures'],
              ...(atMs === undefined
                ? { StartingPosition: 'TRIM_HORIZON' }
                : { StartingPosition: 'AT_TIMESTAMP', StartingPositionTimestamp: new Date(atMs) }),
            }),
          ),
        ),
      ),
    updateMapping: (uuid, settings) =>
      unless(
        call('UpdateEventSourceMapping', uuid, (client) => client.send(new UpdateEventSourceMappingCommand({ UUID: uuid, ...inputOf(settings) }))),
      ),
    deleteMapping: (uuid) =>
      unless(call('DeleteEventSourceMapping', uuid, (client) => client.send(new DeleteEventSourceMappingCommand({ UUID: uuid })))),
    alias: async (functionArn, name) => {
      try {
        const { FunctionVersion = '' } = await call('GetAlias', `${functionArn}:${name}`, (client) =>
          client.send(new GetAliasCommand({ FunctionName: functionArn, Name: name })),
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
      try {
        do {
          const { Aliases = [], NextMarker } = await call('ListAliases', functionArn, (client) =>
            client.send(new ListAliasesCommand({ FunctionName: functionArn, ...(marker === undefined ? {} : { Marker: marker }) })),
          )
          for (const { Name = '', FunctionVersion = '' } of Aliases) found.push({ name: Name, version: FunctionVersion })
          marker = NextMarker === '' ? undefined : NextMarker
        } while (marker !== undefined)
      } catch (error) {
        // A function that is gone has none.
        ignoreRace(error)
      }
      return found
    },
    createAlias: (functionArn, name, version) =>
      unless(
        call('CreateAlias', `${functionArn}:${name}`, (client) =>
          client.send(new CreateAliasCommand({ FunctionName: functionArn, Name: name, FunctionVersion: version })),
        ),
      ),
    updateAlias: (functionArn, name, version) =>
      unless(
        call('UpdateAlias', `${functionArn}:${name}`, (client) =>
          client.send(new UpdateAliasCommand({ FunctionName: functionArn, Name: name, FunctionVersion: version })),
        ),
      ),
    deleteAlias: (functionArn, name) =>
      unless(
        call('DeleteAlias', `${functionArn}:${name}`, (client) => client.send(new DeleteAliasCommand({ FunctionName: functionArn, Name: name }))),
      ),
    invoke: async (functionArn, payload) => {
      const { FunctionError, Payload } = await call('Invoke', functionArn, (client) =>
        client.send(new InvokeCommand({ FunctionName: functionArn, Payload: new TextEncoder().encode(JSON.stringify(payload)) })),
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
