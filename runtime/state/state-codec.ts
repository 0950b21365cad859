import { type AnyStateDescriptor, MillraceError, type Serde, type StateKind } from '../core/index.js'
import { fromInternalKey, type InternalKey, toInternalKey } from './keys.js'
import { structuralFault } from './structural.js'

/** How one table's values stand in a snapshot: as plain data for the structural form, as bytes where a Serde was declared. */
export interface StateCodec<V> {
  readonly kind: StateKind | 'internal'
  /** `id/version` of the declared Serde, or 'structural'. */
  readonly serdeId: string
  toData(value: V): unknown
  fromData(data: unknown): V
  /** The same for data written under another `serdeId`: undefined when that is not a version of this codec's serdes. */
  readerOf?(serdeId: string): ((data: unknown) => V) | undefined
  /** Map state: its keys alone, for entries that were removed. `readerOf` takes a `serdeId` without its mark of a time to live. */
  readonly mapKeys?: {
    toData(key: InternalKey): unknown
    readerOf(serdeId: string): ((data: unknown) => InternalKey) | undefined
  }
  /** State with a time to live: the value without what has expired, undefined when nothing is left. */
  live?(value: V): V | undefined
}

/** Reads what was written under `serdeId`, with its version. Throws STATE_DESCRIPTOR when the state now has another serde. */
export function readerOf<V>(codec: StateCodec<V>, serdeId: string, stateName: string): (data: unknown) => V {
  if (serdeId === codec.serdeId) return (data) => codec.fromData(data)
  const reader = codec.readerOf?.(serdeId)
  if (reader !== undefined) return reader
  throw new MillraceError('STATE_DESCRIPTOR', {
    what: `state "${stateName}" was written with the serde ${serdeId} and is now declared with ${codec.serdeId}`,
    todo: 'Declare the serde it was written with, or give the state a new name.',
  })
}

export function codecOf(descriptor: AnyStateDescriptor): StateCodec<unknown> {
  const element = elementCodec(descriptor.options.serde, descriptor.name)
  switch (descriptor.kind) {
    case 'value':
    case 'reducing':
    case 'aggregating':
      return { kind: descriptor.kind, serdeId: element.id, toData: element.toData, fromData: element.fromData, readerOf: element.readerOf }
    case 'list':
      return {
        kind: 'list',
        serdeId: element.id,
        toData: (list) => (list as unknown[]).map(element.toData),
        fromData: (data) => (data as unknown[]).map(element.fromData),
        readerOf: (serdeId) => {
          const read = element.readerOf(serdeId)
          return read === undefined ? undefined : (data) => (data as unknown[]).map(read)
        },
      }
    case 'map':
      return mapCodec(element, elementCodec(descriptor.options.keySerde, descriptor.name))
  }
}

const STRUCTURAL = 'structural'

interface ElementCodec {
  readonly id: string
  readonly toData: (value: unknown) => unknown
  readonly fromData: (data: unknown) => unknown
  readonly readerOf: (id: string) => ((data: unknown) => unknown) | undefined
}

function elementCodec(serde: Serde<unknown> | undefined, stateName: string): ElementCodec {
  if (serde === undefined) {
    const fromData = (data: unknown) => data
    return { id: STRUCTURAL, toData: (value) => checked(value, stateName), fromData, readerOf: (id) => (id === STRUCTURAL ? fromData : undefined) }
  }
  return {
    id: `${serde.id}/${serde.version}`,
    toData: (value) => serde.encode(value),
    fromData: (data) => serde.decode(data as Uint8Array, serde.version),
    readerOf: (id) => {
      const version = id.startsWith(`${serde.id}/`) ? Number(id.slice(serde.id.length + 1)) : Number.NaN
      return Number.isNaN(version) ? undefined : (data) => serde.decode(data as Uint8Array, version)
    },
  }
}

/** Map keys are internal keys in memory, so that structurally equal ones are one entry. */
function mapCodec(value: ElementCodec, key: ElementCodec): StateCodec<unknown> {
  const from =
    (readKey: (data: unknown) => unknown, readValue: (data: unknown) => unknown) =>
    (data: unknown): unknown => {
      const [keys, values] = data as [unknown[], unknown[]]
      return new Map(keys.map((k, i) => [toInternalKey(readKey(k)), readValue(values[i])]))
    }
  const keyToData = (internalKey: InternalKey) => key.toData(fromInternalKey(internalKey))
  const readersOf = (serdeId: string) => {
    // A serde's id may have commas of its own.
    for (let comma = serdeId.indexOf(','); comma >= 0; comma = serdeId.indexOf(',', comma + 1)) {
      const readKey = key.readerOf(serdeId.slice(0, comma))
      const readValue = value.readerOf(serdeId.slice(comma + 1))
      if (readKey !== undefined && readValue !== undefined) return { readKey, readValue }
    }
    return undefined
  }
  return {
    kind: 'map',
    serdeId: `${key.id},${value.id}`,
    toData: (map) => {
      const entries = [...(map as Map<InternalKey, unknown>)]
      return [entries.map(([k]) => keyToData(k)), entries.map(([, v]) => value.toData(v))]
    },
    fromData: from(key.fromData, value.fromData),
    readerOf: (serdeId) => {
      const readers = readersOf(serdeId)
      return readers && from(readers.readKey, readers.readValue)
    },
    mapKeys: {
      toData: keyToData,
      readerOf: (serdeId) => {
        const readKey = readersOf(serdeId)?.readKey
        return readKey && ((data) => toInternalKey(readKey(data)))
      },
    },
  }
}

function checked(value: unknown, stateName: string): unknown {
  const type = typeof value
  if (type === 'number' || type === 'string' || type === 'boolean') return value
  const fault = structuralFault(value)
  if (fault !== undefined) {
    throw new MillraceError('STATE_UNSERIALISABLE', {
      what: `a value of state "${stateName}" cannot be serialised: ${fault}`,
      todo: 'Keep plain data in state, or give the descriptor a serde: new ValueStateDescriptor(name, { serde }).',
    })
  }
  return value
}
