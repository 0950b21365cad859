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
import { mockClient } from 'aws-sdk-client-mock'

/** What a version of a function runs. */
export type ImitatedFunction = (event: never, context: { readonly invokedFunctionArn: string }) => Promise<unknown>

export interface ImitatedMapping {
  readonly uuid: string
  readonly eventSourceArn: string
  functionArn: string
  state: string
  batchSize: number
  batchingWindowSeconds: number
  /** Where it begins to read: epoch ms, or the oldest record. */
  readonly start: number | 'TRIM_HORIZON'
  /** How many records of each shard are acknowledged. */
  readonly acknowledged: Map<number, number>
  /** What it becomes when it has settled; undefined: nothing is on its way. */
  next: { readonly state: string; readonly functionArn: string } | undefined
}

const FUNCTION_ARN = /^(arn:aws:lambda:[^:]+:[^:]+:function:[^:]+)(?::(.+))?$/

/** Lambda's control plane as far as it is used, in memory, behind the SDK's client: versions, aliases, mappings whose changes take their time. */
export class LambdaImitation {
  /** By unqualified ARN, then by version. */
  readonly versions = new Map<string, Map<string, ImitatedFunction>>()
  readonly aliases = new Map<string, string>()
  readonly mappings = new Map<string, ImitatedMapping>()
  /** Sees each call before it has an effect and behind it, and may throw. */
  onCall: ((call: string, when: 'before' | 'after') => void) | undefined
  #made = 0
  readonly #mock = mockClient(LambdaClient)

  constructor() {
    const on = <T>(call: string, work: (input: T) => unknown) => {
      return async (input: T) => {
        this.onCall?.(call, 'before')
        const answer = await work(input)
        this.onCall?.(call, 'after')
        return answer
      }
    }
    const mock = this.#mock
    mock.on(InvokeCommand).callsFake(on('Invoke', (input) => this.#invoke(input)))
    mock.on(CreateAliasCommand).callsFake(on('CreateAlias', (input) => this.#createAlias(input)))
    mock.on(UpdateAliasCommand).callsFake(on('UpdateAlias', (input) => this.#updateAlias(input)))
    mock.on(GetAliasCommand).callsFake(on('GetAlias', (input) => this.#getAlias(input)))
    mock.on(DeleteAliasCommand).callsFake(on('DeleteAlias', (input) => this.#deleteAlias(input)))
    mock.on(ListAliasesCommand).callsFake(on('ListAliases', (input) => this.#listAliases(input)))
    mock.on(ListEventSourceMappingsCommand).callsFake(on('ListEventSourceMappings', (input) => this.#listMappings(input)))
    mock.on(CreateEventSourceMappingCommand).callsFake(on('CreateEventSourceMapping', (input) => this.#createMapping(input)))
    mock.on(UpdateEventSourceMappingCommand).callsFake(on('UpdateEventSourceMapping', (input) => this.#updateMapping(input)))
    mock.on(DeleteEventSourceMappingCommand).callsFake(on('DeleteEventSourceMapping', (input) => this.#deleteMapping(input)))
  }

  restore(): void {
    this.#mock.restore()
  }

  publish(functionArn: string, version: string, code: ImitatedFunction): void {
    const versions = this.versions.get(functionArn) ?? new Map<string, ImitatedFunction>()
    this.versions.set(functionArn, versions.set(version, code))
  }

  /** As Lambda does, it keeps a version that an alias names: throws. */
  deleteVersion(functionArn: string, version: string): void {
    const holder = [...this.aliases].find(([name, of]) => name.startsWith(`${functionArn}:`) && of === version)
    if (holder !== undefined) throw new Error(`version ${version} of ${functionArn} is held by ${holder[0]}`)
    this.versions.get(functionArn)?.delete(version)
  }

  /** What was asked of mappings has been done. */
  settle(): void {
    for (const [uuid, mapping] of this.mappings) {
      if (mapping.next === undefined) continue
      if (mapping.next.state === 'gone') this.mappings.delete(uuid)
      Object.assign(mapping, mapping.next, { next: undefined })
    }
  }

  /** Calls what a version or an alias of a function stands for. */
  async call(arn: string, event: unknown): Promise<unknown> {
    const [, functionArn, qualifier] = FUNCTION_ARN.exec(arn) ?? []
    const version = this.aliases.get(arn) ?? qualifier
    const code = this.versions.get(functionArn)?.get(version)
    if (code === undefined) throw named('ResourceNotFoundException', `Function not found: ${arn}`)
    // Through JSON, as everything that goes in and out of a function.
    const answer = await code(JSON.parse(JSON.stringify(event)) as never, { invokedFunctionArn: arn })
    return answer === undefined ? null : JSON.parse(JSON.stringify(answer))
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #invoke({ FunctionName, Payload }: any): Promise<object> {
    const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
    try {
      return { Payload: encode(await this.call(FunctionName, JSON.parse(new TextDecoder().decode(Payload)))) }
    } catch (error) {
      if ((error as Error).name === 'ResourceNotFoundException') throw error
      return { FunctionError: 'Unhandled', Payload: encode({ errorMessage: (error as Error).message }) }
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  #createAlias({ FunctionName, Name, FunctionVersion }: any): object {
    if (this.aliases.has(`${FunctionName}:${Name}`)) throw named('ResourceConflictException', `Alias already exists: ${Name}`)
    return this.#setAlias(FunctionName, Name, FunctionVersion)
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  #updateAlias({ FunctionName, Name, FunctionVersion }: any): object {
    this.#version(FunctionName, Name)
    return this.#setAlias(FunctionName, Name, FunctionVersion)
  }

  #setAlias(functionArn: string, name: string, version: string): object {
    if (this.versions.get(functionArn)?.has(version) !== true)
      throw named('ResourceNotFoundException', `Function not found: ${functionArn}:${version}`)
    this.aliases.set(`${functionArn}:${name}`, version)
    return {}
  }

  #version(functionArn: string, name: string): string {
    const version = this.aliases.get(`${functionArn}:${name}`)
    if (version === undefined) throw named('ResourceNotFoundException', `Cannot find alias arn: ${functionArn}:${name}`)
    return version
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  #getAlias({ FunctionName, Name }: any): object {
    return { Name, FunctionVersion: this.#version(FunctionName, Name) }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  #deleteAlias({ FunctionName, Name }: any): object {
    this.aliases.delete(`${FunctionName}:${Name}`)
    return {}
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  #listAliases({ FunctionName, Marker }: any): object {
    if (!this.versions.has(FunctionName)) throw named('ResourceNotFoundException', `Function not found: ${FunctionName}`)
    const all = [...this.aliases].filter(([arn]) => arn.startsWith(`${FunctionName}:`))
    const [page, NextMarker] = paged(all, Marker)
    return { Aliases: page.map(([arn, FunctionVersion]) => ({ Name: arn.slice(FunctionName.length + 1), FunctionVersion })), NextMarker }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  #listMappings({ EventSourceArn, Marker }: any): object {
    const [page, NextMarker] = paged(
      [...this.mappings.values()].filter((mapping) => mapping.eventSourceArn === EventSourceArn),
      Marker,
    )
    return {
      EventSourceMappings: page.map(({ uuid, functionArn, eventSourceArn, state, batchSize, batchingWindowSeconds }) => ({
        UUID: uuid,
        FunctionArn: functionArn,
        EventSourceArn: eventSourceArn,
        State: state,
        BatchSize: batchSize,
        MaximumBatchingWindowInSeconds: batchingWindowSeconds,
      })),
      NextMarker,
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  #createMapping(input: any): object {
    const { EventSourceArn, FunctionName, BatchSize: batchSize, StartingPosition, StartingPositionTimestamp } = input
    const [, functionArn] = FUNCTION_ARN.exec(FunctionName) ?? []
    for (const { eventSourceArn, functionArn: other } of this.mappings.values()) {
      if (eventSourceArn === EventSourceArn && other === FunctionName) throw named('ResourceConflictException', `already exists: ${functionArn}`)
    }
    const { FunctionResponseTypes, MaximumRetryAttempts, MaximumRecordAgeInSeconds, ParallelizationFactor } = input
    const isWithoutEnd = MaximumRetryAttempts === -1 && MaximumRecordAgeInSeconds === -1
    if (FunctionResponseTypes?.[0] !== 'ReportBatchItemFailures' || !isWithoutEnd || ParallelizationFactor !== 1)
      throw named('InvalidParameterValueException', 'a mapping that would lose records')
    const uuid = `mapping-${++this.#made}`
    const start = StartingPosition === 'AT_TIMESTAMP' ? (StartingPositionTimestamp as Date).getTime() : StartingPosition
    const next = { state: input.Enabled === false ? 'Disabled' : 'Enabled', functionArn: FunctionName }
    const batchingWindowSeconds = input.MaximumBatchingWindowInSeconds ?? 0
    const mapping = {
      uuid,
      eventSourceArn: EventSourceArn,
      functionArn: FunctionName,
      batchSize,
      batchingWindowSeconds,
      start,
      acknowledged: new Map(),
    }
    this.mappings.set(uuid, { ...mapping, state: 'Creating', next })
    return { UUID: uuid }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  #updateMapping({ UUID, FunctionName, BatchSize, MaximumBatchingWindowInSeconds, Enabled }: any): object {
    const mapping = this.#settled(UUID)
    // What is left out stays as it is.
    const { functionArn, batchSize, batchingWindowSeconds } = mapping
    const enabled = Enabled ?? mapping.state === 'Enabled'
    Object.assign(mapping, {
      state: 'Updating',
      batchSize: BatchSize ?? batchSize,
      batchingWindowSeconds: MaximumBatchingWindowInSeconds ?? batchingWindowSeconds,
      next: { state: enabled ? 'Enabled' : 'Disabled', functionArn: FunctionName ?? functionArn },
    })
    return {}
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  #deleteMapping({ UUID }: any): object {
    const mapping = this.#settled(UUID)
    Object.assign(mapping, { state: 'Deleting', next: { state: 'gone', functionArn: mapping.functionArn } })
    return {}
  }

  #settled(uuid: string): ImitatedMapping {
    const mapping = this.mappings.get(uuid)
    if (mapping === undefined) throw named('ResourceNotFoundException', 'The resource you requested does not exist.')
    if (mapping.next !== undefined) throw named('ResourceInUseException', 'Cannot update the event source mapping because it is in use.')
    return mapping
  }
}

/** Pages of one, so that whoever lists must ask again. */
function paged<T>(all: readonly T[], marker: string | undefined): readonly [readonly T[], string | undefined] {
  const from = marker === undefined ? 0 : Number(marker)
  return [all.slice(from, from + 1), from + 1 < all.length ? String(from + 1) : undefined]
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}
