import { setTimeout as pause } from 'node:timers/promises'
import { type EventSourceMappingConfiguration, type LambdaClient, ListEventSourceMappingsCommand } from '@aws-sdk/client-lambda'
import { checkMappingFaults } from '../runtime/testing/mapping-options.js'
import { FollowedMapping, NO_POLLER_FAULTS, type PollerFaults, type PollerSurroundings } from './followed-mapping.js'
import type { MappingProgress, PositionFile } from './position-file.js'

/**
 * Does for all event source mappings of Kinesis streams that a Lambda endpoint lists what AWS's own pollers do, while mappings are made, changed and
 * deleted: a mapping that is pointed to another function goes on where it is, one that is deleted forgets it.
 */
export class Poller {
  readonly #followed = new Map<string, FollowedMapping>()
  #faults: PollerFaults = NO_POLLER_FAULTS
  #stopped = false
  #running: Promise<void> | undefined
  #said = ''

  constructor(
    readonly surroundings: PollerSurroundings,
    readonly positions: PositionFile,
  ) {}

  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when no invocation is under way and positions are written. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    await Promise.all([...this.#followed.values()].map((mapping) => mapping.stop()))
    this.#note()
  }

  /** From the next delivery of any mapping on; those left out are 0. Throws OPTION_INVALID. */
  setFaults(faults: Partial<PollerFaults>): void {
    const all = { ...NO_POLLER_FAULTS, ...faults }
    const { slowMs: _, ...probabilities } = all
    checkMappingFaults(probabilities)
    for (const mapping of this.#followed.values()) mapping.setFaults(all)
    this.#faults = all
  }

  /** By the mappings' UUIDs. */
  get status(): Readonly<Record<string, FollowedMapping['status']>> {
    return Object.fromEntries([...this.#followed].map(([uuid, mapping]) => [uuid, mapping.status]))
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#follow(await mappingsOfStreams(this.surroundings.lambda))
        this.#said = ''
      } catch (error) {
        const line = `mappings cannot be listed: ${error instanceof Error ? error.message : String(error)}`
        if (line !== this.#said) this.surroundings.log(line)
        this.#said = line
      }
      this.#note()
      await pause(this.surroundings.pollMs)
    }
  }

  async #follow(configs: readonly EventSourceMappingConfiguration[]): Promise<void> {
    const listed = new Set(configs.map(({ UUID }) => UUID as string))
    for (const [uuid, mapping] of this.#followed) {
      if (listed.has(uuid)) continue
      this.#followed.delete(uuid)
      this.positions.delete(uuid)
      void mapping.stop()
    }
    for (const config of configs) (await this.#mappingOf(config)).follow(config)
  }

  async #mappingOf(config: EventSourceMappingConfiguration): Promise<FollowedMapping> {
    const uuid = config.UUID as string
    const known = this.#followed.get(uuid)
    if (known !== undefined && !known.differsFrom(config)) return known
    await known?.stop()
    const mapping = new FollowedMapping(config, known?.progress ?? this.positions.get(uuid) ?? beginningOf(config), this.surroundings)
    mapping.setFaults(this.#faults)
    this.#followed.set(uuid, mapping)
    return mapping
  }

  #note(): void {
    for (const [uuid, { progress }] of this.#followed) this.positions.set(uuid, progress)
    this.positions.write()
  }
}

/** A mapping that begins with what comes from now on begins at the time when it is first seen, so that nothing is lost when the poller starts anew. */
function beginningOf({ StartingPosition, StartingPositionTimestamp }: EventSourceMappingConfiguration): MappingProgress {
  const behind = new Map<string, bigint>()
  if (StartingPosition === 'TRIM_HORIZON') return { first: 'TRIM_HORIZON', behind }
  const at = StartingPosition === 'AT_TIMESTAMP' ? StartingPositionTimestamp?.getTime() : undefined
  return { first: { atTimestampMs: at ?? Date.now() }, behind }
}

async function mappingsOfStreams(lambda: LambdaClient): Promise<readonly EventSourceMappingConfiguration[]> {
  const mappings: EventSourceMappingConfiguration[] = []
  let Marker: string | undefined
  do {
    const answer = await lambda.send(new ListEventSourceMappingsCommand({ Marker }))
    mappings.push(...(answer.EventSourceMappings ?? []))
    Marker = answer.NextMarker === '' ? undefined : answer.NextMarker
  } while (Marker !== undefined)
  return mappings.filter(({ EventSourceArn }) => EventSourceArn?.split(':')[2] === 'kinesis')
}
