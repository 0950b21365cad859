import type { DeployedSource } from './deployment-record.js'
import type { FoundMapping, LambdaApi } from './lambda-api.js'

/**
 * The event source mappings of the job's sources, which the control plane owns and no template names. A mapping calls the alias `attempt-N` of its
 * stage's function, so that a batch says for which attempt it was read.
 *
 * Everything about a mapping is asynchronous. So nothing here waits: each call looks at what is there, does the next thing, and says whether it is
 * done; the caller comes again.
 */
export class SourceMappings {
  constructor(readonly api: LambdaApi) {}

  /**
   * Lets the source's batches come to the attempt, through one mapping that is enabled. `replace`: whatever mapping was made for another attempt is
   * deleted, and one is made that begins where `beginAtMs` says; else it is repointed, and keeps its position. `beginAtMs` is asked only for a mapping that is
   * made: epoch ms, or undefined for all that the stream has. `eventSources`: ARNs under which older mappings may stand.
   */
  async letRead(
    source: DeployedSource,
    attempt: number,
    options: {
      readonly replace: boolean
      readonly eventSources: readonly string[]
      beginAtMs(): Promise<number | undefined>
    },
  ): Promise<MappingProgress> {
    const aliasArn = await this.#alias(source, attempt)
    if (aliasArn === undefined) return { done: false, why: `alias attempt-${attempt} of ${source.functionArn} is being changed` }
    const found = await this.#find(source.functionArn, [source.eventSourceArn, ...options.eventSources])
    const action = decideMapping(found, { source, aliasArn, replace: options.replace })
    switch (action.kind) {
      case 'done':
        return DONE
      case 'wait':
        return { done: false, why: action.why }
      case 'delete':
        await this.api.deleteMapping(action.uuid)
        return { done: false, why: `the mapping ${action.uuid} of ${source.stream} is being deleted` }
      case 'update':
        await this.api.updateMapping(action.uuid, settingsOf(source, aliasArn))
        return { done: false, why: `the mapping ${action.uuid} of ${source.stream} is being pointed to ${aliasArn}` }
      case 'create': {
        const atMs = await options.beginAtMs()
        await this.api.createMapping({ ...settingsOf(source, aliasArn), eventSourceArn: source.eventSourceArn, atMs })
        return { done: false, why: `the mapping of ${source.stream} is being made` }
      }
    }
  }

  /** No batches come to the function any more. */
  async remove(functionArn: string, eventSources: readonly string[]): Promise<MappingProgress> {
    const found = await this.#find(functionArn, eventSources)
    for (const { uuid, state } of found) if (isSettled(state)) await this.api.deleteMapping(uuid)
    return found.length === 0 ? DONE : { done: false, why: `${found.length} mappings of ${functionArn} are being deleted` }
  }

  /**
   * Removes aliases of former attempts: those two attempts old or older, in case a mapping still calls them for a moment, and at once those that hold another version
   * than `version`, which could not be deleted as long as an alias names it. Without `attempt`: all of them.
   */
  async removeAliases(functionArn: string, attempt?: number, version?: string): Promise<void> {
    for (const alias of await this.api.aliases(functionArn)) {
      const of = attemptOfAlias(alias.name)
      if (of === undefined || of === attempt) continue
      if (attempt === undefined || of <= attempt - 2 || alias.version !== version) await this.api.deleteAlias(functionArn, alias.name)
    }
  }

  async #alias({ functionArn, version }: DeployedSource, attempt: number): Promise<string | undefined> {
    const name = aliasOf(attempt)
    const present = await this.api.alias(functionArn, name)
    if (present === undefined) await this.api.createAlias(functionArn, name, version)
    else if (present.version !== version) await this.api.updateAlias(functionArn, name, version)
    else return `${functionArn}:${name}`
    // Only what is read is known to be so: a call may have lost to another.
    return (await this.api.alias(functionArn, name))?.version === version ? `${functionArn}:${name}` : undefined
  }

  /** A filter by function does not know those of its aliases, so they are looked for by what they read. */
  async #find(functionArn: string, eventSources: readonly string[]): Promise<readonly FoundMapping[]> {
    const found = new Map<string, FoundMapping>()
    for (const eventSourceArn of new Set(eventSources)) {
      for (const mapping of await this.api.mappings(eventSourceArn)) {
        if (mapping.functionArn === functionArn || mapping.functionArn.startsWith(`${functionArn}:`)) found.set(mapping.uuid, mapping)
      }
    }
    return [...found.values()]
  }
}

/** Not done: the same call is to be made again after a while. `why` is for people. */
export type MappingProgress = { readonly done: true } | { readonly done: false; readonly why: string }

const DONE: MappingProgress = { done: true }

export interface WantedMapping {
  readonly source: DeployedSource
  /** The function's, with the alias of the attempt. */
  readonly aliasArn: string
  readonly replace: boolean
}

export type MappingAction =
  | { readonly kind: 'done' | 'create' }
  | { readonly kind: 'update' | 'delete'; readonly uuid: string }
  | { readonly kind: 'wait'; readonly why: string }

/** The next thing to do, by all mappings of the function. */
export function decideMapping(found: readonly FoundMapping[], { source, aliasArn, replace }: WantedMapping): MappingAction {
  const live = found.filter(({ state }) => state !== 'Deleting')
  const isOfAttempt = ({ functionArn }: FoundMapping) => functionArn === aliasArn
  const usable = live.filter((mapping) => mapping.eventSourceArn === source.eventSourceArn && (!replace || isOfAttempt(mapping)))
  const kept = usable.find(isOfAttempt) ?? usable[0]
  for (const mapping of live) {
    if (mapping === kept) continue
    return isSettled(mapping.state) ? { kind: 'delete', uuid: mapping.uuid } : waitFor(mapping)
  }
  if (kept === undefined) return found.length === 0 ? { kind: 'create' } : waitFor(found[0])
  if (!isSettled(kept.state)) return waitFor(kept)
  const { batchSize, batchingWindowSeconds } = source
  const isRight = isOfAttempt(kept) && kept.batchSize === batchSize && kept.batchingWindowSeconds === batchingWindowSeconds
  return isRight && kept.state === 'Enabled' ? { kind: 'done' } : { kind: 'update', uuid: kept.uuid }
}

/** The alias that a source's mapping calls for an attempt. */
export function aliasOf(attempt: number): string {
  return `attempt-${attempt}`
}

function attemptOfAlias(name: string): number | undefined {
  const attempt = /^attempt-(\d+)$/.exec(name)?.[1]
  return attempt === undefined ? undefined : Number(attempt)
}

function settingsOf({ batchSize, batchingWindowSeconds }: DeployedSource, functionName: string) {
  return { functionName, batchSize, batchingWindowSeconds }
}

function isSettled(state: string): boolean {
  return state === 'Enabled' || state === 'Disabled'
}

function waitFor({ uuid, state, eventSourceArn }: FoundMapping): MappingAction {
  return { kind: 'wait', why: `the mapping ${uuid} of ${eventSourceArn} is ${state}` }
}
